interface Group<M> extends EventListenerObject {
  readonly members: Set<M>;
}

/**
 * Tells each member that its signal was aborted, with one listener for every
 * distinct signal: adding n listeners to one signal takes time O(n²).
 */
export class AbortGroups<M> {
  readonly #groups = new Map<AbortSignal, Group<M>>();
  readonly #onAbort: (member: M, reason: unknown) => void;

  constructor(onAbort: (member: M, reason: unknown) => void) {
    this.#onAbort = onAbort;
  }

  add(signal: AbortSignal, member: M): void {
    const group = this.#groups.get(signal) ?? this.#listen(signal);
    group.members.add(member);
  }

  delete(signal: AbortSignal, member: M): void {
    const group = this.#groups.get(signal);
    if (group === undefined) return;
    group.members.delete(member);
    if (group.members.size > 0) return;
    this.#groups.delete(signal);
    signal.removeEventListener("abort", group);
  }

  #listen(signal: AbortSignal): Group<M> {
    const members = new Set<M>();
    const handleEvent = () => {
      // The group stays while it is told, so that whoever leaves meanwhile is told no more.
      for (const member of members) this.#onAbort(member, signal.reason);
      this.#groups.delete(signal);
    };
    const group = { members, handleEvent };
    this.#groups.set(signal, group);
    signal.addEventListener("abort", group, { once: true });
    return group;
  }
}
