/**
 * Tries every sequence of events up to a depth. Equal states are recognised by their
 * canonical form and extended once.
 *
 * @module
 */

import { type Event, type Kind, SmallWorld } from "./small_world.ts";

/** The outcome of a walk. */
export interface Walk {
  /** The number of events up to which all sequences were tried. */
  depth: number;
  /** How many sequences were tried. A sequence that leads to a known state is not extended. */
  histories: number;
  /** The number of distinct states. */
  states: number;
  /** The shortest sequence that breaks a law. */
  failure: { readonly law: string; readonly history: readonly Event[] } | undefined;
}

/** The limits of a walk. */
export interface Limits {
  readonly depth: number;
  /** The end time, by `performance.now()`. */
  readonly until?: number;
}

/** A state, and the event and the state that led to it. */
interface Found {
  readonly from: Found | undefined;
  readonly event: Event | undefined;
}

/** Errors are made by the million without their stacks being read. */
class NoStacks implements Disposable {
  readonly #limit = Error.stackTraceLimit;

  constructor() {
    Error.stackTraceLimit = 0;
  }

  [Symbol.dispose](): void {
    Error.stackTraceLimit = this.#limit;
  }
}

/** Walks through a pool of the kind breadth first, so that a failure is the shortest one. */
export async function walk(
  kind: Kind,
  { depth, until = Infinity }: Limits,
  onDepth: (walk: Walk) => void = () => {},
): Promise<Walk> {
  using _ = new NoStacks();
  const result: Walk = { depth: 0, histories: 0, states: 1, failure: undefined };
  const known = new Set<number>();
  let frontier: Found[] = [{ from: undefined, event: undefined }];
  while (result.depth < depth && frontier.length > 0) {
    const next: Found[] = [];
    for (const found of frontier) {
      const history = historyOf(found);
      for (const event of await eventsAfter(kind, history)) {
        result.histories++;
        using world = await replay(kind, history);
        await world.apply(event);
        world.check();
        if (world.violation !== undefined) {
          result.failure = { law: world.violation, history: [...history, event] };
          return { ...result, depth: result.depth + 1 };
        }
        const { size } = known;
        known.add(hashOf(world.canonical()));
        if (known.size === size) continue;
        result.states++;
        next.push({ from: found, event });
      }
      if (performance.now() > until) return result;
    }
    frontier = next;
    result.depth++;
    onDepth(result);
  }
  return result;
}

function historyOf(found: Found): Event[] {
  const history: Event[] = [];
  for (let each: Found | undefined = found; each?.event !== undefined; each = each.from) {
    history.push(each.event);
  }
  return history.reverse();
}

async function eventsAfter(kind: Kind, history: readonly Event[]): Promise<Event[]> {
  using world = await replay(kind, history);
  return world.events();
}

/** A pool cannot be copied, so its history is replayed on a new one. */
async function replay(kind: Kind, history: readonly Event[]): Promise<SmallWorld> {
  const world = new SmallWorld(kind);
  for (const event of history) await world.apply(event);
  return world;
}

/** A hash of 53 bits (cyrb53, by bryc): a collision among ten million texts is unlikely. */
function hashOf(text: string): number {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return 4294967296 * (2097151 & b) + (a >>> 0);
}
