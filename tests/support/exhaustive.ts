/**
 * Tries every sequence of events up to a depth. States that are alike are
 * recognised by their canonical form, and gone on from once.
 *
 * @module
 */

import { type Event, type Kind, SmallWorld } from "./small_world.ts";

/** What came of a walk. */
export interface Walk {
  /** All sequences of so many events have been tried. */
  depth: number;
  /** How many sequences were tried: those that led to a state that was known are not gone on with. */
  histories: number;
  /** How many states were distinct. */
  states: number;
  /** The shortest sequence that breaks a law. */
  failure: { readonly law: string; readonly history: readonly Event[] } | undefined;
}

/** Where a walk ends at the latest. */
export interface Limits {
  readonly depth: number;
  /** By when, as `performance.now()` tells it. */
  readonly until?: number;
}

/** A state that was found: by which event, out of which other. */
interface Found {
  readonly from: Found | undefined;
  readonly event: Event | undefined;
}

/** Errors are made by the million, and nobody reads their stacks. */
class NoStacks implements Disposable {
  readonly #limit = Error.stackTraceLimit;

  constructor() {
    Error.stackTraceLimit = 0;
  }

  [Symbol.dispose](): void {
    Error.stackTraceLimit = this.#limit;
  }
}

/** Walks through a pool of the kind, breadth first, so that a law is broken by the shortest sequence that breaks it. */
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

/** A pool can't be copied: what has happened to it happens to another. */
async function replay(kind: Kind, history: readonly Event[]): Promise<SmallWorld> {
  const world = new SmallWorld(kind);
  for (const event of history) await world.apply(event);
  return world;
}

/** 53 bits of a text (cyrb53, by bryc): among ten million texts, hardly two are alike. */
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
