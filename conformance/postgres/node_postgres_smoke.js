// node-postgres against HeliosDB; the connection is in the environment (PGHOST, PGPORT, ...).
const assert = require('node:assert');
const { Client } = require('pg');

async function main() {
  const client = new Client();
  await client.connect();
  const one = await client.query('SELECT $1::int4 AS number, $2::text AS text, now() AS moment', [7, 'gr\u00fc\u00dfe']);
  assert.deepStrictEqual([one.rows[0].number, one.rows[0].text], [7, 'gr\u00fc\u00dfe']);
  assert.ok(one.rows[0].moment instanceof Date);

  await client.query('DROP TABLE IF EXISTS node_smoke');
  await client.query('CREATE TABLE node_smoke (id int PRIMARY KEY, doc jsonb, tags text[])');
  await client.query('BEGIN');
  const inserted = await client.query({
    name: 'insert',
    text: 'INSERT INTO node_smoke VALUES ($1, $2, $3) RETURNING id',
    values: [1, { a: [1, 2, { b: null }] }, ['x', 'y z']],
  });
  assert.strictEqual(inserted.rowCount, 1);
  await client.query({ name: 'insert', values: [2, null, []], text: 'INSERT INTO node_smoke VALUES ($1, $2, $3) RETURNING id' });
  await client.query('COMMIT');

  const rows = (await client.query('SELECT * FROM node_smoke ORDER BY id')).rows;
  assert.deepStrictEqual(rows, [
    { id: 1, doc: { a: [1, 2, { b: null }] }, tags: ['x', 'y z'] },
    { id: 2, doc: null, tags: [] },
  ]);
  await assert.rejects(client.query('INSERT INTO node_smoke VALUES (1)'), { code: '23505', constraint: 'node_smoke_pkey' });
  await assert.rejects(client.query('SELECT * FROM nowhere'), { code: '42P01', position: '15' });
  const both = await client.query('SELECT 1 AS a; SELECT 2 AS b');
  assert.deepStrictEqual(both.map((r) => r.rows), [[{ a: 1 }], [{ b: 2 }]]);
  await client.query('DROP TABLE node_smoke');
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
