// mongosh against a running server: `mongosh mongodb://127.0.0.1:27017/smoke mongosh_smoke.js`.
const assert = require('assert');
db.dropDatabase();
db.things.insertOne({ _id: 1, a: [1, 2, 3], when: ISODate('2024-02-29') });
db.things.insertMany([{ _id: 2, a: [] }, { _id: 3, b: NumberLong('9007199254740993') }]);
assert.equal(db.things.countDocuments(), 3);
assert.equal(db.things.findOne({ a: 2 })._id, 1);
db.things.updateOne({ _id: 2 }, { $push: { a: { $each: [3, 1, 2], $sort: 1 } } });
assert.deepEqual(db.things.findOne({ _id: 2 }).a, [1, 2, 3]);
assert.deepEqual(
  db.things.aggregate([{ $unwind: '$a' }, { $group: { _id: '$a', n: { $sum: 1 } } }, { $sort: { _id: 1 } }]).toArray(),
  [{ _id: 1, n: 2 }, { _id: 2, n: 2 }, { _id: 3, n: 2 }]);
assert.equal(db.things.deleteMany({}).deletedCount, 3);
assert(db.getCollectionNames().includes('things'));
assert(db.adminCommand({ listDatabases: 1 }).databases.some(d => d.name === 'smoke'));
db.dropDatabase();
print('mongosh ok');
