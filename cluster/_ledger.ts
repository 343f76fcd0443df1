import type { ClusterStatus, ExchangeReply, ExchangeRequest, Grant, QueueEntry } from "./engine.ts";

/** The record of a session. */
export interface LedgerSession {
  expiresAt: number;
  /** Its time to live, as of its last exchange. */
  ttl: number;
  /** Another one after each exchange, where an engine has no clock that all can read. */
  beat?: string;
  /** Grants that were made in exchanges of others, until its own next exchange. */
  mail: Grant[];
  /** How often others have woken it. */
  wakes: number;
}

/** A grant and its session; an entry and its session. */
type Held = Grant & { readonly session: string };
type Queued = QueueEntry & { readonly session: string };

/** The records under a key: plain data, to be stored as they are. */
export interface Ledger {
  time: number;
  fence: number;
  peak: number;
  sessions: Record<string, LedgerSession>;
  held: Held[];
  queue: Queued[];
  /** Sessions that may be asked to give up a permit, the one that was asked longest ago first. */
  askable: string[];
  /** Those that have been asked, and have neither released a permit nor withdrawn their offer. */
  asked: string[];
}

/** The result of an exchange. */
export interface Exchanged {
  readonly reply: ExchangeReply;
  /** Sessions to wake, and sessions that have expired. */
  readonly woken: ReadonlySet<string>;
  readonly gone: ReadonlySet<string>;
}

/** A copy that an exchange may change; the members of the lists are never changed. */
export function copyOf(ledger: Ledger): Ledger {
  const sessions: Ledger["sessions"] = {};
  for (const [name, session] of Object.entries(ledger.sessions)) {
    sessions[name] = { ...session, mail: [...session.mail] };
  }
  const { held, queue, askable, asked } = ledger;
  return {
    ...ledger,
    sessions,
    held: [...held],
    queue: [...queue],
    askable: [...askable],
    asked: [...asked],
  };
}

/** The records of an unused key. */
export function emptyLedger(time: number): Ledger {
  return {
    time,
    fence: 0,
    peak: 0,
    sessions: {},
    held: [],
    queue: [],
    askable: [],
    asked: [],
  };
}

/** An exchange, as {@linkcode Engine} describes it: changes the ledger, and is the model for all engines. */
export function exchange(ledger: Ledger, request: ExchangeRequest, now: number): Exchanged {
  const { session: me, permits } = request;
  const woken = new Set<string>();
  const waitedBefore = waitingIn(ledger);
  const gone = expire(ledger, now);
  const mine = ledger.sessions[me];
  const known = mine !== undefined;
  const self = ledger.sessions[me] = mine ?? { expiresAt: 0, ttl: 0, mail: [], wakes: 0 };
  self.expiresAt = now + request.ttl;
  self.ttl = request.ttl;

  if (release(ledger, me, request.release) > 0 && remove(ledger.asked, me)) ledger.askable.push(me);
  for (const { entry, count } of request.cancel) {
    shorten(ledger, (queued) => queued.session === me && queued.entry === entry, count);
  }
  if (request.acquire !== undefined && request.acquire.count > 0) {
    ledger.queue.push({ session: me, ...request.acquire });
  }
  for (let head = ledger.queue[0]; head !== undefined; head = ledger.queue[0]) {
    if (ledger.held.length >= permits) break;
    const grant = take(ledger, head.session, head.entry, now);
    shorten(ledger, (queued) => queued === head, 1);
    ledger.sessions[head.session]!.mail.push(grant);
    if (head.session !== me) wake(ledger, head.session, woken);
  }
  const granted = self.mail;
  self.mail = [];
  if (ledger.queue.length === 0) {
    const count = Math.min(request.attempt, permits - ledger.held.length);
    for (let i = 0; i < count; i++) granted.push(take(ledger, me, 0, now));
  }
  const waiting = waitingIn(ledger);
  note(ledger, me, request.offer);
  if (waiting === 0 && waitedBefore > 0) ledger.askable.push(...ledger.asked.splice(0));
  while (waiting > ledger.asked.length && ledger.askable.length > 0) {
    const asked = ledger.askable.shift()!;
    ledger.asked.push(asked);
    if (asked !== me) wake(ledger, asked, woken);
  }
  const asked = ledger.asked.includes(me);
  const held = ledger.held.filter(({ session }) => session === me);
  const queued = ledger.queue.filter(({ session }) => session === me);
  if (request.leave && held.length === 0 && queued.length === 0) {
    forget(ledger, me);
    gone.add(me);
  }
  const entries = request.reconcile ?? (known ? undefined : []);
  return {
    woken,
    gone,
    reply: {
      known,
      granted,
      waiting,
      asked,
      nextExpiry: waiting === 0 ? Infinity : nextExpiry(ledger) - now,
      held: entries && held.map(({ token, entry }) => ({ token, entry })),
      queued: entries &&
        queued.filter(({ entry }) => entries.includes(entry) || entry === request.acquire?.entry)
          .map(({ entry, count }) => ({ entry, count })),
    },
  };
}

/** The count at a time. */
export function statusOf(ledger: Ledger, now: number): ClusterStatus {
  const isLive = ({ session }: { session: string }) => ledger.sessions[session]!.expiresAt > now;
  return {
    held: ledger.held.filter(isLive).length,
    waiting: ledger.queue.filter(isLive).reduce((sum, { count }) => sum + count, 0),
    sessions: Object.keys(ledger.sessions).filter((session) => isLive({ session })).length,
    peak: ledger.peak,
    fence: ledger.fence,
  };
}

function expire(ledger: Ledger, now: number): Set<string> {
  const gone = new Set<string>();
  // A clock that was set back must not prolong leases: each keeps the time that it had left.
  const setBack = Math.max(0, ledger.time - now);
  ledger.time = now;
  for (const [name, session] of Object.entries(ledger.sessions)) {
    session.expiresAt -= setBack;
    if (session.expiresAt > now) continue;
    forget(ledger, name);
    gone.add(name);
  }
  if (gone.size === 0) return gone;
  const isLive = ({ session }: { session: string }) => !gone.has(session);
  ledger.held = ledger.held.filter(isLive);
  ledger.queue = ledger.queue.filter(isLive);
  return gone;
}

function forget(ledger: Ledger, session: string): void {
  delete ledger.sessions[session];
  remove(ledger.askable, session);
  remove(ledger.asked, session);
}

function release(ledger: Ledger, session: string, tokens: readonly number[]): number {
  if (tokens.length === 0) return 0;
  const before = ledger.held.length;
  ledger.held = ledger.held.filter((held) =>
    held.session !== session || !tokens.includes(held.token)
  );
  return before - ledger.held.length;
}

function take(ledger: Ledger, session: string, entry: number, now: number): Grant {
  const token = ledger.fence = Math.max(ledger.fence + 1, Math.floor(now * 1_000));
  ledger.held.push({ session, token, entry });
  ledger.peak = Math.max(ledger.peak, ledger.held.length);
  return { token, entry };
}

function shorten(ledger: Ledger, which: (queued: Queued) => boolean, by: number): void {
  const index = ledger.queue.findIndex(which);
  const queued = ledger.queue[index];
  if (queued === undefined) return;
  if (queued.count <= by) ledger.queue.splice(index, 1);
  else ledger.queue[index] = { ...queued, count: queued.count - by };
}

function note(ledger: Ledger, session: string, offer: boolean | undefined): void {
  if (offer === false) {
    remove(ledger.askable, session);
    remove(ledger.asked, session);
  } else if (offer && !ledger.askable.includes(session) && !ledger.asked.includes(session)) {
    ledger.askable.push(session);
  }
}

function wake(ledger: Ledger, session: string, woken: Set<string>): void {
  if (woken.has(session)) return;
  ledger.sessions[session]!.wakes++;
  woken.add(session);
}

function waitingIn(ledger: Ledger): number {
  return ledger.queue.reduce((sum, { count }) => sum + count, 0);
}

function nextExpiry(ledger: Ledger): number {
  return Math.min(...Object.values(ledger.sessions).map(({ expiresAt }) => expiresAt));
}

function remove(list: string[], member: string): boolean {
  const index = list.indexOf(member);
  if (index >= 0) list.splice(index, 1);
  return index >= 0;
}
