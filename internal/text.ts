/** Texts of arbitrary values, for messages. These functions never throw. */

// A longer string is cut: it may be a whole file, or a secret.
const LONGEST_SHOWN = 40;

/** Characters that would break a line or drive a terminal. */
// deno-lint-ignore no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** A text in one line, with its control characters escaped. */
export function oneLine(text: string): string {
  return text.replace(CONTROL, (char) => {
    const escaped = JSON.stringify(char).slice(1, -1);
    return escaped === char ? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}` : escaped;
  });
}

/** A text without the passwords of the URLs in it. */
export function withoutPasswords(text: string): string {
  return text.replace(/\/\/([^\s/?#:@]*):[^\s/?#]*@/g, "//$1:***@");
}

/** An error as text in one line. It may be any value, such as a symbol or an object without a prototype. */
export function errorText(error: unknown): string {
  try {
    return oneLine(String(error));
  } catch {
    return `an error that can't be shown (${typeof error})`;
  }
}

/** What has an object without a class show itself as a text: as a string, and where it is logged. */
export function showing(text: () => string): { toString(): string } {
  // Deno and Bun look for Node's symbol too.
  return { toString: text, [Symbol.for("nodejs.util.inspect.custom")]: text };
}

/** A refused value as short text; a string is quoted. */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    const text = oneLine(JSON.stringify(value.slice(0, LONGEST_SHOWN)));
    return value.length <= LONGEST_SHOWN ? text : `${text}… (${value.length} characters)`;
  }
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return className(value);
  return oneLine(String(value));
}

function className(value: object): string {
  try {
    const { name } = value.constructor;
    return typeof name === "string" && name !== ""
      ? oneLine(name).slice(0, LONGEST_SHOWN)
      : "object";
  } catch {
    return "object";
  }
}
