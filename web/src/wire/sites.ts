// Which site's address comes next. All are equal; the one that answered last is tried first, and one that failed goes to the end.
// SPDX-License-Identifier: AGPL-3.0-or-later

export class Sites {
  private order: string[];

  constructor(urls: string[], best?: string) {
    this.order = [...new Set(best && urls.includes(best) ? [best, ...urls] : urls)];
  }

  get current(): string {
    return this.order[0];
  }

  get all(): readonly string[] {
    return this.order;
  }

  /** A new list keeps the place of those that were known. */
  learn(urls: string[]): void {
    const known = this.order.filter((u) => urls.includes(u));
    if (urls.length) this.order = [...new Set([...known, ...urls])];
  }

  failed(url: string): void {
    if (this.order[0] === url) this.order.push(this.order.shift() as string);
  }

  prefer(url: string | undefined): void {
    if (url && this.order.includes(url)) this.order = [url, ...this.order.filter((u) => u !== url)];
  }
}
