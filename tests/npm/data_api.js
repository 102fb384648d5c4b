// The RDS Data API over a real PostgreSQL: npm's data-api-local, on the port of argv, with the
// server in PGHOST, PGPORT, PGUSER and PGPASSWORD. Run in the folder that holds node_modules.
const { createRequire } = require("node:module");
const { join } = require("node:path");
const load = createRequire(join(process.cwd(), "package.json"));
const { Client } = load("pg");
const { dataApiLocal } = load("data-api-local");

// The emulator says where an error is, and forgets its code, which the real API puts behind that.
const query = Client.prototype.query;
Client.prototype.query = async function (...words) {
  try {
    return await query.apply(this, words);
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
