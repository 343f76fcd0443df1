import { roundRobin, tcp, tls, webSocket } from "../../connectors/mod.ts";
import { DeafHost } from "../support/deaf_host.ts";
import { EchoServer, mute } from "../support/echo_server.ts";
import { certs, listenTls } from "../support/tls_server.ts";
import { WebSocketServer } from "../support/websocket_server.ts";
import { conforms, socketSubject, stalling } from "./_conforms.ts";

conforms("tcp()", [], async () => {
  const server = EchoServer.listen();
  const host = await DeafHost.listen();
  return socketSubject(tcp({ port: server.port }), [server], {
    connector: tcp({ port: host.port }),
    host,
  });
});

conforms("tls()", [], () => {
  const server = listenTls();
  const host = EchoServer.listen(mute);
  const to = (port: number) => tls({ port, hostname: "localhost", caCerts: [certs.ca] });
  return socketSubject(to(server.port), [server], { connector: to(host.port), host });
});

conforms("roundRobin()", ["stall"], () => {
  const servers = [EchoServer.listen(), EchoServer.listen()];
  return socketSubject(roundRobin(servers.map(({ port }) => tcp({ port }))), servers);
});

conforms("webSocket()", [], () => {
  const server = new WebSocketServer();
  const host = EchoServer.listen(mute);
  const silent = webSocket({ url: `ws://127.0.0.1:${host.port}/` });
  return {
    ...stalling(webSocket({ url: server.url }), silent),
    open: () => server.open,
    async use(lease) {
      lease.send("ping");
      const reply = await lease.receive();
      if (reply !== "ping") throw new Error(`Another's reply: ${reply}`);
    },
    async break() {
      const { socket, closed } = server.peer;
      socket.close();
      await closed;
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await host[Symbol.asyncDispose]();
    },
  };
});
