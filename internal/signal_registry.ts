interface Group<M> extends EventListenerObject {
  readonly members: Set<M>;
}

/**
 * Tells each member that its signal was aborted, with one listener for every
 * distinct signal: adding n listeners to one signal takes time O(n²).
 */
export class SignalRegistry<M> {
  /** Created when it is first needed. */
  #groups: Map<AbortSignal, Group<M>> | undefined;
  readonly #onAbort: (member: M, reason: unknown) => void;

  /** `onAbort` must do nothing for a member that was removed by the call for another. */
  constructor(onAbort: (member: M, reason: unknown) => void) {
    this.#onAbort = onAbort;
  }

  add(signal: AbortSignal, member: M): void {
    const group = this.#groups?.get(signal) ?? this.#listen(signal);
    group.members.add(member);
  }

  delete(signal: AbortSignal, member: M): void {
    const group = this.#groups?.get(signal);
    if (group === undefined) return;
    group.members.delete(member);
    if (group.members.size > 0) return;
    this.#groups!.delete(signal);
    signal.removeEventListener("abort", group);
  }

  #listen(signal: AbortSignal): Group<M> {
    const groups = this.#groups ??= new Map();
    const members = new Set<M>();
    const handleEvent = () => {
      // The set is not updated during the calls: for 100,000 members that would take a third of the time.
      groups.delete(signal);
      for (const member of members) this.#onAbort(member, signal.reason);
    };
    const group = { members, handleEvent };
    groups.set(signal, group);
    signal.addEventListener("abort", group, { once: true });
    return group;
  }
}
