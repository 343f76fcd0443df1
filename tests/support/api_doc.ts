/** A type as `deno doc --json` writes it. */
interface TypeNode {
  readonly kind?: string;
  readonly repr?: string;
  readonly value?: unknown;
}

interface Member {
  readonly name: string;
  readonly optional?: boolean;
  readonly accessibility?: string;
  readonly tsType?: TypeNode;
}

interface Definition {
  readonly properties?: readonly Member[];
  readonly methods?: readonly Member[];
  readonly constructors?: readonly Member[];
}

/** An exported symbol, with what is declared under its name. */
export interface ApiSymbol {
  readonly name: string;
  readonly declarations: readonly { readonly kind: string; readonly def?: Definition }[];
}

const ROOT = new URL("../../", import.meta.url);

/** The exported symbols of a module, read by `deno doc`. */
export async function apiOf(module: string): Promise<ApiSymbol[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", new URL(module, ROOT).href],
  }).output();
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout));
  return Object.values(nodes as Record<string, { symbols: ApiSymbol[] }>)
    .flatMap(({ symbols }) => symbols);
}

/** The types of this project that a public signature of the symbol names. */
export function namedIn({ declarations }: ApiSymbol): Set<string> {
  const names = new Set<string>();
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (typeof node !== "object" || node === null) return;
    const { kind, value, accessibility } = node as TypeNode & Member;
    if (accessibility === "private") return;
    if (kind === "typeRef") {
      const { typeName, resolution } = value as {
        typeName: string;
        resolution?: { kind: string };
      };
      if (resolution?.kind === "import" || resolution?.kind === "local") names.add(typeName);
    }
    Object.values(node).forEach(visit);
  };
  visit(declarations.map(({ def }) => def));
  return names;
}

/** The optional members of a type that don't take undefined under `exactOptionalPropertyTypes`. */
export function refusingUndefined({ name, declarations }: ApiSymbol): string[] {
  const definitions = declarations.flatMap(({ def }) => def === undefined ? [] : [def]);
  const properties = definitions.flatMap(({ properties = [] }) => properties)
    .filter(({ tsType }) => !takesUndefined(tsType));
  const methods = definitions.flatMap(({ methods = [] }) => methods);
  return [...properties, ...methods]
    .filter(({ optional }) => optional === true)
    .map((member) => `${name}.${member.name}`);
}

function takesUndefined(type: TypeNode | undefined): boolean {
  if (type?.kind === "union") return (type.value as TypeNode[]).some(takesUndefined);
  return type?.kind === "typeRef" && isTypeParameter(type) ||
    ["undefined", "unknown", "any"].includes(type?.repr ?? "");
}

function isTypeParameter({ value }: TypeNode): boolean {
  return (value as { resolution?: { kind: string } }).resolution?.kind === "typeParam";
}
