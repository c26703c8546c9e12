// mongosh against a running server: `mongosh mongodb://127.0.0.1:27017/smoke mongosh_smoke.js`.
const assert = require('assert');

// Runs what the server must refuse with this number.
function fails(code, run) {
  let refused;
  try {
    run();
  } catch (error) {
    refused = error;
  }
  assert.equal(refused && refused.code, code);
}

db.dropDatabase();

// Writes and reads.
db.things.insertOne({ _id: 1, a: [1, 2, 3], when: ISODate('2024-02-29') });
db.things.insertMany([{ _id: 2, a: [] }, { _id: 3, b: NumberLong('9007199254740993') }]);
assert.equal(db.things.countDocuments(), 3);
assert.equal(db.things.findOne({ a: 2 })._id, 1);
assert.equal(db.things.findOne({ _id: 3 }).b.toString(), '9007199254740993');
db.things.updateOne({ _id: 2 }, { $push: { a: { $each: [3, 1, 2], $sort: 1 } } });
assert.deepEqual(db.things.findOne({ _id: 2 }).a, [1, 2, 3]);
assert.equal(db.things.updateOne({ _id: 9 }, { $set: { x: 1 } }, { upsert: true }).insertedId, 9);
assert.equal(db.things.findOneAndUpdate({ _id: 9 }, { $inc: { x: 1 } }, { returnDocument: 'after' }).x, 2);
assert.equal(db.things.findOneAndDelete({ _id: 9 }).x, 2);
assert.deepEqual(db.things.distinct('a'), [1, 2, 3]);
fails(11000, () => db.things.insertOne({ _id: 1 }));
const mixed = db.things.bulkWrite([
  { insertOne: { document: { _id: 10 } } }, { updateOne: { filter: { _id: 10 }, update: { $set: { z: 1 } } } },
  { deleteOne: { filter: { _id: 10 } } }]);
assert.deepEqual([mixed.insertedCount, mixed.modifiedCount, mixed.deletedCount], [1, 1, 1]);

// Cursors.
db.many.insertMany([...Array(300).keys()].map(n => ({ _id: n, n: n % 7 })));
assert.equal(db.many.find().batchSize(10).toArray().length, 300);
assert.deepEqual(db.many.find({ n: 3 }).sort({ _id: -1 }).limit(2).toArray().map(d => d._id), [297, 290]);

// Pipelines.
assert.deepEqual(
  db.things.aggregate([{ $unwind: '$a' }, { $group: { _id: '$a', n: { $sum: 1 } } }, { $sort: { _id: 1 } }]).toArray(),
  [{ _id: 1, n: 2 }, { _id: 2, n: 2 }, { _id: 3, n: 2 }]);
assert.deepEqual(
  db.things.aggregate([{ $match: { _id: 1 } }, { $lookup: { from: 'many', localField: 'a', foreignField: '_id', as: 'm' } },
    { $project: { ids: '$m._id' } }]).toArray(),
  [{ _id: 1, ids: [1, 2, 3] }]);

// Indexes.
assert.equal(db.many.createIndex({ n: 1 }), 'n_1');
assert.deepEqual(db.many.getIndexes().map(i => i.name), ['_id_', 'n_1']);
assert.equal(db.many.find({ n: 3 }).explain().queryPlanner.winningPlan.stage, 'Kv');
db.many.dropIndex('n_1');

// Transactions.
const session = db.getMongo().startSession();
const inside = session.getDatabase('smoke').things;
session.startTransaction();
inside.insertOne({ _id: 50 });
assert.equal(db.things.countDocuments({ _id: 50 }), 0);
session.commitTransaction();
assert.equal(db.things.countDocuments({ _id: 50 }), 1);
session.startTransaction();
inside.deleteOne({ _id: 50 });
session.abortTransaction();
assert.equal(db.things.countDocuments({ _id: 50 }), 1);
session.endSession();

// Administration.
assert(db.getCollectionNames().includes('things'));
assert.equal(db.stats().objects, 304);
assert.equal(db.many.stats().count, 300);
assert(db.adminCommand({ listDatabases: 1 }).databases.some(d => d.name === 'smoke'));
assert.equal(db.hello().setName, 'helios');
fails(59, () => db.runCommand({ nonsense: 1 }));
assert.equal(db.many.renameCollection('more').ok, 1);
assert.equal(db.more.drop(), true);
assert.equal(db.things.deleteMany({}).deletedCount, 4);
db.dropDatabase();
assert(!db.adminCommand({ listDatabases: 1 }).databases.some(d => d.name === 'smoke'));
print('mongosh ok');
