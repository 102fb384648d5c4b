// The RDS Data API over a real PostgreSQL: npm's data-api-local, on the port of argv, with the
// server in PGHOST, PGPORT, PGUSER and PGPASSWORD. Run in the folder that holds node_modules.
const { createRequire } = require("node:module");
const { join } = require("node:path");
const load = createRequire(join(process.cwd(), "package.json"));
const { Client } = load("pg");
const { dataApiLocal } = load("data-api-local");

// The emulator makes text of any other type, which the real API refuses: bool, int8, int2, int4, text, float4, float8,
// bpchar, varchar, date, time, timestamp, timestamptz, numeric, uuid.
const RETURNED = [16, 20, 21, 23, 25, 700, 701, 1042, 1043, 1082, 1083, 1114, 1184, 1700, 2950];

// The emulator says where an error is, and forgets its code, which the real API puts behind that.
const query = Client.prototype.query;
Client.prototype.query = async function (...words) {
  try {
    const result = await query.apply(this, words);
    const field = result.fields?.find(({ dataTypeID }) => !RETURNED.includes(dataTypeID));
    if (field) {
      throw Object.assign(new Error(`unsupported data type ${field.dataTypeID}`), { severity: "ERROR", code: "0A000" });
    }
    return result;
  } catch (error) {
    error.position = `${error.position}; SQLState: ${error.code}`;
    throw error;
  }
};

dataApiLocal({
  server: { hostname: "127.0.0.1", port: Number(process.argv[2]) },
  database: { engine: "postgresql" },
  logger: null,
}).then(() => console.log("listening"));
