// The official OpenAI client for Node.js, asked to do one thing: node openai_node.mjs SCENARIO
//
// From the environment: BASE_URL (with /v1), KEY, NODE_MODULES (where `openai` is), and if wanted MODEL, MAX_TOKENS,
// HEADERS (a JSON object). Prints one JSON line saying what the application would have seen, and how many HTTP tries it
// took; an error of the client is part of that line, so the exit code is 0. openai_python.py says the same in the same words.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

// The packages lie outside the source tree, where an `import` would not look.
const OpenAI = createRequire(join(process.env.NODE_MODULES, 'peers.js'))('openai');
const { version } = JSON.parse(readFileSync(join(process.env.NODE_MODULES, 'openai/package.json')));

const model = process.env.MODEL ?? 'demo';
const max_tokens = Number(process.env.MAX_TOKENS ?? 8);
const messages = [{ role: 'user', content: 'Say hello.' }];

// What passed below the client: every try it made and how each was answered.
const wire = { tries: 0, statuses: [], retry_after: [] };

async function watched(url, init) {
  wire.tries += 1;
  const response = await fetch(url, init);
  wire.statuses.push(response.status);
  const after = response.headers.get('retry-after');
  if (after !== null) wire.retry_after.push(after);
  return response;
}

async function whole(client) {
  const answer = await client.chat.completions.create({ model, messages, max_tokens });
  const [choice] = answer.choices;
  return {
    model: answer.model,
    text: choice.message.content,
    finish_reason: choice.finish_reason,
    usage: answer.usage ?? null,
  };
}

async function stream(client, options = {}) {
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({
    model,
    messages,
    max_tokens,
    stream: true,
    ...options,
  })) {
    chunks.push(chunk);
  }
  const choices = chunks.filter((chunk) => chunk.choices.length > 0).map((chunk) => chunk.choices[0]);
  const usages = chunks.filter((chunk) => chunk.usage).map((chunk) => chunk.usage);
  return {
    model: chunks.at(-1)?.model ?? null,
    chunks: chunks.length,
    text: choices.map((choice) => choice.delta.content ?? '').join(''),
    finish_reason: choices.find((choice) => choice.finish_reason)?.finish_reason ?? null,
    empty_choices: chunks.length - choices.length,
    usage_chunks: usages.length,
    usage: usages.at(-1) ?? null,
  };
}

async function completion(client) {
  const answer = await client.completions.create({ model, prompt: 'Hello', max_tokens });
  const [choice] = answer.choices;
  return { model: answer.model, text: choice.text, finish_reason: choice.finish_reason, usage: answer.usage ?? null };
}

async function embeddings(client) {
  const answer = await client.embeddings.create({ model, input: ['Hello', 'and goodbye'] });
  return {
    model: answer.model,
    vectors: answer.data.length,
    dimensions: answer.data[0].embedding.length,
    usage: answer.usage ?? null,
  };
}

const scenarios = {
  whole,
  stream,
  stream_with_usage: (client) => stream(client, { stream_options: { include_usage: true } }),
  completion,
  embeddings,
  // The same call as `whole`; what is of interest is the error and the tries.
  refusal: whole,
};

function error(e) {
  return {
    class: e.constructor.name,
    status: e.status ?? null,
    code: e.code ?? null,
    type: e.type ?? null,
    message: e.message,
  };
}

const scenario = process.argv[2];
const client = new OpenAI({
  baseURL: process.env.BASE_URL,
  apiKey: process.env.KEY,
  defaultHeaders: JSON.parse(process.env.HEADERS ?? '{}'),
  fetch: watched,
});
const started = performance.now();
let seen;
try {
  seen = { ok: true, ...(await scenarios[scenario](client)) };
} catch (e) {
  if (!(e instanceof OpenAI.OpenAIError)) throw e;
  seen = { ok: false, error: error(e) };
}
const seconds = Math.round(performance.now() - started) / 1000;
console.log(JSON.stringify({ ...seen, sdk: `openai-node ${version}`, scenario, ...wire, seconds }));
