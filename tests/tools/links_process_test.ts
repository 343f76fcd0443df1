import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { needs } from "../support/needs.ts";

const root = new URL("../../", import.meta.url);

/** The pages that a reader sees, as paths from the root. */
function pages(): string[] {
  const listed = (folder: string) =>
    [...Deno.readDirSync(new URL(folder, root))].map(({ name }) => `${folder}${name}`);
  return [...listed("./"), ...listed("./docs/"), ...listed("./examples/")]
    .map((path) => path.slice(2)).filter((path) => path.endsWith(".md")).sort();
}

/** The text of a page without its code, in which brackets are no links. */
function proseOf(page: string): string {
  return Deno.readTextFileSync(new URL(page, root))
    .replaceAll(/^```[^]*?^```$/gm, "").replaceAll(/`[^`\n]*`/g, (code) => code.slice(1, -1));
}

/** The relative links and images of a text. */
function linksOf(text: string): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)
    .filter((link) => !/^[a-z]+:/.test(link));
}

/** The anchors of a page, as GitHub makes them of its headings. */
function anchorsOf(page: string): string[] {
  return [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-")
  );
}

/** Why a link of a page leads nowhere, or undefined. */
function faultOf(page: string, link: string): string | undefined {
  const { pathname, hash } = new URL(link, new URL(page, root));
  const path = pathname.slice(root.pathname.length);
  try {
    Deno.statSync(new URL(path, root));
  } catch {
    return `${page}: ${link} does not exist`;
  }
  if (!config.publish.include.some((part) => path === part || path.startsWith(`${part}/`))) {
    return `${page}: ${link} is not in publish.include`;
  }
  if (hash !== "" && path.endsWith(".md") && !anchorsOf(path).includes(hash.slice(1))) {
    return `${page}: ${link} names no heading`;
  }
}

Deno.test({
  ...needs("every relative link of the pages leads to what is published", {
    permissions: ["read"],
  }),
  fn() {
    const links = pages().flatMap((page) => linksOf(proseOf(page)).map((link) => ({ page, link })));
    assert(links.length > 100, `only ${links.length} links were found`);
    assertEquals(links.flatMap(({ page, link }) => faultOf(page, link) ?? []), []);
  },
});
