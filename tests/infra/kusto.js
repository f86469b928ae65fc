// Parses and binds Kusto queries: reads {tables, queries} as JSON, writes the faults of each query as JSON.
"use strict";
const folder = process.argv[2];
require(`${folder}/bridge.min.js`);
require(`${folder}/Kusto.Language.Bridge.min.js`);
const { KustoCode, GlobalState, Symbols } = globalThis.Kusto.Language;

const { tables, queries } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const symbols = Object.entries(tables).map(([name, columns]) => Symbols.TableSymbol.From(columns).WithName(name));
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("workspace", symbols));

const faults = {};
for (const [name, query] of Object.entries(queries)) {
    const found = KustoCode.ParseAndAnalyze(query, globals).GetDiagnostics();
    faults[name] = [];
    for (let i = 0; i < found.Count; i++) {
        const { Start, Length, Severity, Message } = found.getItem(i);
        const line = query.slice(0, Start).split("\n").length;
        faults[name].push(`line ${line}: ${Severity}: ${Message} (${query.slice(Start, Start + Length)})`);
    }
}
process.stdout.write(JSON.stringify(faults));
