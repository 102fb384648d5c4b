// An emulator of the RDS Data API: npm's data-api-local with PostgreSQL.
// Usage: node data_api.js PORT, in the folder with node_modules. PGHOST, PGPORT, PGUSER and PGPASSWORD name the server.
const { createRequire } = require("node:module");
const { join } = require("node:path");
const load = createRequire(join(process.cwd(), "package.json"));
const { Client } = load("pg");
const { dataApiLocal } = load("data-api-local");

// Types that the real API returns; the emulator returns any other type as text. In this order: bool, int8, int2, int4,
// text, float4, float8, bpchar, varchar, date, time, timestamp, timestamptz, numeric, uuid.
const RETURNED = [16, 20, 21, 23, 25, 700, 701, 1042, 1043, 1082, 1083, 1114, 1184, 1700, 2950];

// The real API appends the SQLSTATE to the position of an error. The emulator omits it.
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
