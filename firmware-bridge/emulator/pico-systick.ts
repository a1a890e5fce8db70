import type { RP2040 } from 'rp2040js';

/**
 * Gives SysTick the period of the core, reload value + 1 (ARMv6-M reference manual, B3.3): it stands at 0 for a cycle,
 * where rp2040js reloads it in the very cycle in which it gets there. A count would depend by one on when it wrapped.
 */
export function correctSysTick(chip: RP2040, nanosecondsPerCycle: number): void {
  const { ppb, core, clock } = chip;
  const timer = ppb.systickTimer;
  const reload = clock.createAlarm(() => {
    timer.set(ppb.systickReload);
    timer.enable = true;
  });
  const callback = (): void => {
    ppb.systickCountFlag = true;
    if (ppb.systickIntEnable) {
      core.pendingSystick = true;
      core.interruptsUpdated = true;
    }
    // It stands still: the alarm at 0 would otherwise be due again at once.
    timer.enable = false;
    reload.schedule(nanosecondsPerCycle);
  };
  Object.assign(ppb.systickAlarm, { callback });
}
