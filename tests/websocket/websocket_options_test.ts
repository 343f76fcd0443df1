import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import {
  Pool,
  webSocket,
  type WebSocketConnectorOptions,
  type WebSocketDrainOptions,
  type WebSocketPingOptions,
} from "../../mod.ts";

type ErrorType = typeof RangeError | typeof TypeError;
/** An invalid value, the error's class, and how the value is shown. */
type Bad = readonly [value: unknown, error: ErrorType, shown: string];

const url = "ws://127.0.0.1:1/";

const NOT_COUNTS: readonly Bad[] = [
  ["5", TypeError, '"5"'],
  [null, TypeError, "null"],
  [NaN, RangeError, "NaN"],
  [-1, RangeError, "-1"],
  [1.5, RangeError, "1.5"],
];
const NOT_ONE_OR_MORE: readonly Bad[] = [...NOT_COUNTS, [0, RangeError, "0"]];
const NOT_POSITIVE: readonly Bad[] = [
  ["5", TypeError, '"5"'],
  [NaN, RangeError, "NaN"],
  [-1, RangeError, "-1"],
  [0, RangeError, "0"],
];
const NOT_FUNCTIONS: readonly Bad[] = [[3, TypeError, "3"], [null, TypeError, "null"]];
const NOT_MESSAGES: readonly Bad[] = [[3, TypeError, "3"], [null, TypeError, "null"]];

const NO_URL = "a string of 7 characters that is no such URL";

/** An object that cannot be converted to text. */
const HOSTILE = {
  get constructor(): never {
    throw new Error("no");
  },
  toString(): never {
    throw new Error("no");
  },
};

const ODD: readonly Bad[] = [
  [Object.create(null), TypeError, "object"],
  [HOSTILE, TypeError, "object"],
  [Symbol("odd"), TypeError, "Symbol(odd)"],
];

const OPTIONS: Record<keyof WebSocketConnectorOptions, readonly Bad[]> = {
  url: [
    [undefined, TypeError, "undefined"],
    [3, TypeError, "3"],
    ...ODD,
    ["", RangeError, "a string of 0 characters that is no such URL"],
    ["nowhere", RangeError, NO_URL],
    ["u:pw@h/x", RangeError, "a string of 8 characters that is no such URL"],
    ["ftp://u:pw@127.0.0.1/", RangeError, '"ftp://127.0.0.1/"'],
    ["http://u:pw@h/?token=1", RangeError, '"http://h/?…"'],
    [new URL("https://u:pw@h/p"), RangeError, '"https://h/p"'],
    ["ws://127.0.0.1/?token=1#part", RangeError, '"ws://127.0.0.1/?…#…"'],
    [new URL("ws://127.0.0.1/#"), RangeError, '"ws://127.0.0.1/#…"'],
  ],
  headers: [
    [3, TypeError, "3"],
    [Symbol("odd"), TypeError, "Symbol(odd)"],
    [{ "not a name": "x" }, TypeError, 'Object with the bad name "not a name"'],
    [{ "bad\nname": "x" }, TypeError, 'Object with the bad name "bad\\nname"'],
    [{ good: "x", token: "secret\nsecret" }, TypeError, 'Object with a bad value of "token"'],
    [[["token", "\u{1F600}"]], TypeError, 'Array with a bad value of "token"'],
    [[["one"]], TypeError, 'Array with a bad value of "one"'],
    [{ token: HOSTILE }, TypeError, 'Object with a bad value of "token"'],
  ],
  protocols: [
    [3, TypeError, "3"],
    [["a", 3], TypeError, "Array"],
    ["", RangeError, '""'],
    ["a b", RangeError, '"a b"'],
    [["a", "A"], RangeError, "Array"],
  ],
  requireProtocol: [["yes", TypeError, '"yes"'], [null, TypeError, "null"]],
  client: [[{}, TypeError, "Object"], [null, TypeError, "null"]],
  init: NOT_FUNCTIONS,
  isRetryable: [...NOT_FUNCTIONS, ...ODD],
  isFatal: [...NOT_FUNCTIONS, ...ODD],
  drain: [[3, TypeError, "3"], [null, TypeError, "null"]],
  ping: [["ping", TypeError, '"ping"'], [null, TypeError, "null"]],
  maxUnread: NOT_ONE_OR_MORE,
  maxUnreadBytes: NOT_ONE_OR_MORE,
  maxBufferedAmount: NOT_COUNTS,
  closeTimeout: NOT_POSITIVE,
  maxLingering: NOT_ONE_OR_MORE,
};

const DRAIN: Record<keyof WebSocketDrainOptions, readonly Bad[]> = {
  timeout: NOT_POSITIVE,
  quiet: [["5", TypeError, '"5"'], [NaN, RangeError, "NaN"], [-1, RangeError, "-1"]],
  accept: NOT_FUNCTIONS,
};

const PING: Record<keyof WebSocketPingOptions, readonly Bad[]> = {
  message: [...NOT_MESSAGES, [undefined, TypeError, "undefined"]],
  answer: [...NOT_MESSAGES, [undefined, TypeError, "undefined"], [{}, TypeError, "Object"]],
  timeout: NOT_POSITIVE,
};

/** Tests that each bad value is refused with an error that names the option and the value. */
function refuses(
  prefix: string,
  table: Record<string, readonly Bad[]>,
  optionsWith: (option: string, value: unknown) => unknown,
): void {
  for (const [option, values] of Object.entries(table)) {
    Deno.test(`webSocket(): ${prefix}${option} is checked when the connector is made`, () => {
      for (const [value, ErrorType, shown] of values) {
        const options = optionsWith(option, value) as WebSocketConnectorOptions;
        const error = assertThrows(() => webSocket(options), ErrorType, undefined, shown);
        const { message } = error as Error;
        const start = `Cannot create a WebSocket connector as '${prefix}${option}' must be `;
        assertEquals([message.slice(0, start.length), message.endsWith(`received ${shown}`)], [
          start,
          true,
        ], message);
        assertEquals((error as Error).name, ErrorType.name, message);
      }
    });
  }
}

refuses("", OPTIONS, (option, value) => ({ url, [option]: value }));
refuses("drain.", DRAIN, (option, value) => ({ url, drain: { [option]: value } }));
refuses("ping.", PING, (option, value) => ({
  url,
  ping: { message: "ping", answer: "pong", [option]: value },
}));

Deno.test("webSocket(): drain.quiet must be less than drain.timeout", () => {
  for (const drain of [{ quiet: 100, timeout: 100 }, { quiet: 3_000 }]) {
    assertThrows(() => webSocket({ url, drain }), RangeError, "'drain.quiet' must be less than");
  }
  webSocket({ url, drain: { quiet: 0, timeout: Infinity } });
});

Deno.test("webSocket(): an unknown option is a TypeError that names it", () => {
  const unknown: [object, string][] = [
    [{ uri: url }, "'uri' is not an option"],
    [{ drain: { condition: () => true } }, "'drain.condition' is not an option"],
    [{ ping: { message: "a", answer: "b", interval: 5 } }, "'ping.interval' is not an option"],
  ];
  for (const [option, message] of unknown) {
    assertThrows(() => webSocket({ url, ...option }), TypeError, message);
  }
});

Deno.test("webSocket(): an option whose getter throws is a TypeError that names it", () => {
  const throwing = {
    get timeout(): never {
      throw new RangeError("no\n");
    },
  };
  const options: [object, string][] = [
    [Object.defineProperty({}, "url", { get: () => throwing.timeout }), "'url'"],
    [{ url, drain: throwing }, "'drain.timeout'"],
    [{ url, ping: throwing }, "'ping.timeout'"],
  ];
  for (const [given, name] of options) {
    assertThrows(
      () => webSocket(given as WebSocketConnectorOptions),
      TypeError,
      `${name} cannot be read: received a getter that throws RangeError: no\\n`,
    );
  }
});

Deno.test("webSocket(): each option is read once", () => {
  let reads = 0;
  const options = {
    get url() {
      return reads++ === 0 ? url : "nowhere";
    },
  };
  assertEquals([webSocket(options).place, reads], [url, 1]);
});

Deno.test("webSocket(): an unknown option is not shown, since it may be a secret", () => {
  const error = assertThrows(() => webSocket({ url, pasword: "hunter2" } as never), TypeError);
  assertEquals(error.message.includes("hunter2"), false);
});

Deno.test("webSocket(): an option that is undefined counts as not given", () => {
  const options = Object.fromEntries(Object.keys(OPTIONS).map((name) => [name, undefined]));
  const connector = webSocket({ ...options, url });
  assertEquals([connector.reset, connector.check, connector.lingering?.()], [
    undefined,
    undefined,
    0,
  ]);
});

Deno.test({
  name: "webSocket(): without the permission the acquire rejects, after one dial",
  permissions: { net: ["127.0.0.1:2"] },
  async fn() {
    await using pool = new Pool(webSocket({ url }), { retry: { attempts: 3, minDelay: 5 } });
    const error = await assertRejects(() => pool.acquire());
    assertInstanceOf(error, Deno.errors.NotCapable);
    assertEquals(error.message.startsWith(`Cannot connect to ${url}: Requires net access`), true);
    assertEquals([pool.stats.dials.failed, pool.stats.size], [1, 0]);
  },
});

Deno.test("webSocket(): nothing is connected when the connector is made", () => {
  using client = Deno.createHttpClient({});
  const connector = webSocket({
    url: new URL("wss://127.0.0.1:1/path"),
    headers: [["a", "b"]],
    protocols: ["one", "two"],
    client,
    drain: {},
    ping: { message: new Uint8Array(1), answer: () => true },
    maxUnread: Infinity,
    maxBufferedAmount: 0,
  });
  assertEquals([typeof connector.reset, typeof connector.check], ["function", "function"]);
});
