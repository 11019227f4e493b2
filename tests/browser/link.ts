// The link between an edge and its upstream, which a test can cut: datagrams go through it, or nowhere.

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

export class Link {
  /** Where the edge dials. */
  readonly port: number;
  readonly #near: Socket;
  readonly #far: Socket;
  #cut = false;

  private constructor(near: Socket, far: Socket, to: number) {
    this.#near = near;
    this.#far = far;
    this.port = near.address().port;
    let edge: number | null = null;
    near.on('message', (datagram, { port }) => {
      edge = port;
      if (!this.#cut) far.send(datagram, to, '127.0.0.1');
    });
    far.on('message', (datagram) => {
      if (!this.#cut && edge !== null) near.send(datagram, edge, '127.0.0.1');
    });
    // What nobody receives any more is lost, as on any network.
    for (const socket of [near, far]) socket.on('error', () => {});
  }

  /** To what listens at `to` on loopback. */
  static async open(to: number): Promise<Link> {
    const sockets = [createSocket('udp4'), createSocket('udp4')] as const;
    for (const socket of sockets) {
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
    }
    return new Link(...sockets, to);
  }

  cut(): void {
    this.#cut = true;
  }

  mend(): void {
    this.#cut = false;
  }

  close(): void {
    this.#near.close();
    this.#far.close();
  }
}
