// Another site: a page on an origin of its own on loopback, served until the test is over.

import { createServer } from 'node:http';
import { onTestFinished } from 'vitest';

/** The address of a page with this body. */
export async function site(body: string): Promise<string> {
  const server = createServer((_request, response) => {
    response.setHeader('Content-Type', 'text/html').end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`;
}
