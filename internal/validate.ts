import { shown } from "./text.ts";

export { shown } from "./text.ts";

/** Checks one option's value and names it in the error. `subject` reads like "create a pool". */
export type Rule = (value: unknown, name: string, subject: string) => void;

function message(subject: string, name: string, demand: string, value: unknown): string {
  return `Cannot ${subject} as '${name}' must be ${demand}: received ${shown(value)}`;
}

function numeric(demand: string, holds: (value: number) => boolean): Rule {
  return (value, name, subject) => {
    if (typeof value === "number" && holds(value)) return;
    const ErrorType = typeof value === "number" ? RangeError : TypeError;
    throw new ErrorType(message(subject, name, demand, value));
  };
}

/** An integer from `least`, or Infinity. */
export function countFrom(least: number): Rule {
  return numeric(
    `an integer of at least ${least}, or Infinity`,
    (value) => value >= least && (Number.isInteger(value) || value === Infinity),
  );
}

/** An integer from `least`. */
export function finiteCountFrom(least: number): Rule {
  return numeric(
    `an integer of at least ${least}`,
    (value) => value >= least && Number.isInteger(value),
  );
}

/** Milliseconds: not negative; Infinity for ever. */
export const duration: Rule = numeric(
  "a number of milliseconds of at least 0",
  (value) => value >= 0,
);

/** Milliseconds: not negative, and not for ever. */
export const finiteDuration: Rule = numeric(
  "a finite number of milliseconds of at least 0",
  (value) => value >= 0 && value < Infinity,
);

/** Milliseconds, more than none; Infinity for ever. */
export const positiveDuration: Rule = numeric(
  "a number of milliseconds greater than 0",
  (value) => value > 0,
);

/** A TCP port that can be connected to. */
export const port: Rule = numeric(
  "an integer from 1 to 65535",
  (value) => Number.isInteger(value) && value >= 1 && value <= 65_535,
);

/** A number from 0 to 1. */
export const share: Rule = numeric("a number from 0 to 1", (value) => value >= 0 && value <= 1);

/** Any number but NaN. */
export const anyNumber: Rule = numeric("a number", (value) => !Number.isNaN(value));

/** A value of the given `typeof`. */
export function typed(type: "function" | "boolean" | "string"): Rule {
  return (value, name, subject) => {
    const actual: string = typeof value;
    if (actual !== type) throw new TypeError(message(subject, name, `a ${type}`, value));
  };
}

/** One of the given strings. */
export function oneOf(...choices: string[]): Rule {
  return (value, name, subject) => {
    if (choices.includes(value as string)) return;
    const demand = choices.map((choice) => JSON.stringify(choice)).join(" or ");
    const ErrorType = typeof value === "string" ? RangeError : TypeError;
    throw new ErrorType(message(subject, name, demand, value));
  };
}

/** An AbortSignal. */
export const abortSignal: Rule = (value, name, subject) => {
  if (value instanceof AbortSignal) return;
  throw new TypeError(message(subject, name, "an AbortSignal", value));
};

/** A string that is not empty. */
export const nonEmptyString: Rule = (value, name, subject) => {
  if (typeof value === "string" && value !== "") return;
  throw new TypeError(message(subject, name, "a non-empty string", value));
};

/** Strings that are not empty. */
export const nonEmptyStrings: Rule = (value, name, subject) => {
  if (Array.isArray(value) && value.every((each) => typeof each === "string" && each !== "")) {
    return;
  }
  throw new TypeError(message(subject, name, "an array of non-empty strings", value));
};

/** Certificates or a key. An invalid value is not shown, since it may still be a secret. */
export const pem: Rule = (value, name, subject) => {
  if (typeof value === "string" && value.includes("-----BEGIN ")) return;
  throw new TypeError(
    `Cannot ${subject} as '${name}' must be in PEM format: received a ${typeof value}`,
  );
};

/** Bytes, or a string that stands for them. */
export const bytesOrString: Rule = (value, name, subject) => {
  if (typeof value === "string" || value instanceof Uint8Array) return;
  throw new TypeError(message(subject, name, "a string or a Uint8Array", value));
};

/** An object of options with their own rules. */
export function nested(
  rules: Readonly<Record<string, Rule>>,
  required: readonly string[] = [],
): Rule {
  return (value, name, subject) => {
    checkOptions(value as object, rules, subject, required, `${name}.`);
  };
}

/**
 * Checks an object of options against the rule for each name. An option that is
 * undefined counts as not given.
 *
 * @throws {TypeError} If it is no object, has an option without a rule, or one of the wrong type.
 * @throws {RangeError} If an option is out of range.
 */
export function checkOptions(
  options: object,
  rules: Readonly<Record<string, Rule>>,
  subject: string,
  required: readonly string[] = [],
  prefix = "",
): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new TypeError(message(subject, prefix.slice(0, -1) || "options", "an object", options));
  }
  for (const name of Object.keys(options)) {
    const value = (options as Record<string, unknown>)[name];
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (rule === undefined) {
      const known = Object.keys(rules).join(", ");
      throw new TypeError(
        `Cannot ${subject} as '${prefix}${name}' is not an option: received ${
          kindOf(value)
        }; the options are ${known}`,
      );
    }
    if (value !== undefined) rule(value, prefix + name, subject);
  }
  // Last: an unknown option may be a required one by another name.
  for (const name of required) {
    rules[name]!((options as Record<string, unknown>)[name], prefix + name, subject);
  }
}

/** The value of an unknown option; a string is not shown, since it may be a secret. */
function kindOf(value: unknown): string {
  return typeof value === "string" ? `a string of ${value.length} characters` : shown(value);
}

/** An integer within bounds. */
export function integerBetween(least: number, most: number): Rule {
  return numeric(
    `an integer from ${least} to ${most}`,
    (value) => Number.isInteger(value) && value >= least && value <= most,
  );
}

/** An object with these methods. */
export function methods(...names: string[]): Rule {
  return (value, name, subject) => {
    const has = (each: string) => typeof (value as Record<string, unknown>)[each] === "function";
    if (typeof value === "object" && value !== null && names.every(has)) return;
    const demand = `an object with the methods ${names.map((each) => `${each}()`).join(" and ")}`;
    throw new TypeError(message(subject, name, demand, value));
  };
}
