import { unix } from "../../connectors/mod.ts";
import { EchoServer } from "../support/echo_server.ts";
import { needs, PROCESS } from "../support/needs.ts";
import { conforms, socketSubject } from "./_conforms.ts";

conforms("unix()", ["stall"], async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/socket`;
  const server = EchoServer.on(Deno.listen({ transport: "unix", path }));
  const subject = socketSubject(unix({ path }), [server]);
  return {
    ...subject,
    async [Symbol.asyncDispose]() {
      await subject[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}, (name, fn) => Deno.test({ ...needs(name, { ...PROCESS, notOn: ["windows"] }), fn }));
