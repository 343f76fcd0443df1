/** The path of a `file:` URL, for a command line. */
export function fromFileUrl(url: URL): string {
  return decodeURIComponent(url.pathname);
}
