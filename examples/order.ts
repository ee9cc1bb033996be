// Places an order with the generated TypeScript client, and waits for what becomes of it.
//
//     make clients
//     .run/clients/venv/bin/node .run/clients/order.ts http://127.0.0.1:3003
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { createOrder, getOrder, listProducts, logIn, register } from 'sagashop-client';
import { client } from 'sagashop-client/client';

const WITHIN_MS = 60_000;
const url = process.argv[2];
if (url === undefined) throw new Error('where is the shop?');
client.setConfig({ baseUrl: url });
// What is no success is thrown: its problem document.
const asked = { throwOnError: true } as const;

const account = { email: `${randomUUID()}@example.com`, password: randomUUID() };
await register({ ...asked, body: { ...account, name: 'Ann' } });
const session = await logIn({ ...asked, body: account });
client.setConfig({ auth: session.data.accessToken });

const products = await listProducts({ ...asked, query: { include: 'stock' } });
const lamp = products.data.items.find((product) => (product.stock?.available ?? 0) > 0);
if (lamp === undefined) throw new Error('everything is sold out');

const wanted = {
  ...asked,
  body: { ids: [lamp.productId], quantities: [1], paymentToken: 'tok_success' },
  headers: { 'Idempotency-Key': randomUUID() },
};
let order = (await createOrder(wanted)).data;
const again = await createOrder(wanted);
if (again.data.orderId !== order.orderId) throw new Error('the same Idempotency-Key has placed two orders');
if (again.response.headers.get('Idempotency-Replayed') !== 'true') throw new Error('no word of the repetition');

const end = Date.now() + WITHIN_MS;
while (!order.settled) {
  if (Date.now() > end) throw new Error(`${order.orderId} is ${order.status} after a minute`);
  await setTimeout(200);
  order = (await getOrder({ ...asked, path: { orderId: order.orderId } })).data;
}
console.log(`${order.orderId} ${order.status} ${order.totalPrice} ${order.currency}: ${lamp.name}`);
