/** One promise of a contract. `run` rejects with an AssertionError where it is not kept: any test runner can take it. */
export interface ContractCase {
  readonly name: string;
  run(): Promise<void>;
}
