/**
 * Browsers may forbid pages to keep anything. The tab's own history outlasts reloads all the same; a page that was closed is
 * then new to the daemon when it comes again.
 */
export function kept(name: string): string | null {
  const inTab: string | null = history.state?.[name] ?? null;
  try {
    return localStorage.getItem(name) ?? inTab;
  } catch {
    return inTab;
  }
}

export function keep(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    history.replaceState({ ...history.state, [name]: value }, '');
  }
}
