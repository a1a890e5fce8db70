/** What takes a device out of use without a person, and what takes it back. */

/** Failures in a row with the same code that are the device's, with any reference network that ran in between. */
export const failuresOfAKind = 10;
/** Health checks in a row that find the same reference network outside its limits. */
export const checksOutside = 3;
/** Health checks in a row that a device passes before a rule's quarantine ends. */
export const checksPassed = 3;
