// OpenAI's own package for Node against a server: node openai.mjs BASE_URL MODEL TOOLS_MODEL
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const [base, model, tooled] = process.argv.slice(2);
const client = new OpenAI({ baseURL: base, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "Once" }];
const tools = [{ type: "function", function: { name: "noop", parameters: {} } }];

const tests = {
  async chat() {
    const answer = await client.chat.completions.create({ model, messages, max_tokens: 8, temperature: 0 });
    assert.equal(answer.object, "chat.completion");
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    const stream = await client.chat.completions.create(
      { model, messages, max_tokens: 8, temperature: 0, stream: true, stream_options: { include_usage: true } });
    let text = "", usage;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, answer.choices[0].message.content);
    assert.equal(usage.completion_tokens, answer.usage.completion_tokens);
  },
  async chat_stream_helper() {
    const stream = client.chat.completions.stream({ model, messages, max_tokens: 8, temperature: 0 });
    const final = await stream.finalChatCompletion();
    assert.equal(final.choices[0].message.role, "assistant");
  },
  async parse() {
    const form = zodResponseFormat(z.object({ yes: z.boolean() }), "answer");
    const answer = await client.chat.completions.parse(
      { model, messages, max_tokens: 40, temperature: 1, seed: 3, response_format: form });
    assert.equal(typeof answer.choices[0].message.parsed.yes, "boolean");
  },
  async tools() {
    const stream = client.chat.completions.stream(
      { model: tooled, messages, tools, tool_choice: "required", parallel_tool_calls: false,
        max_tokens: 400, logit_bias: {}, seed: 1 });
    const final = await stream.finalChatCompletion();
    const call = final.choices[0].message.tool_calls[0];
    assert.equal(call.function.name, "noop");
    if (final.choices[0].finish_reason === "tool_calls") JSON.parse(call.function.arguments);
  },
  async completions() {
    const { data, response } = await client.completions
      .create({ model, prompt: ["a", "b"], max_tokens: 3, n: 2 }).withResponse();
    assert.deepEqual(data.choices.map((c) => c.index), [0, 1, 2, 3]);
    assert.match(response.headers.get("x-request-id"), /^req-/);
  },
  async embeddings() {
    const list = await client.embeddings.create({ model, input: ["a", "b"] });
    assert.equal(list.data.length, 2);
    assert.ok(Math.abs(list.data[0].embedding.reduce((s, v) => s + v * v, 0) - 1) < 1e-5);
  },
  async responses() {
    const stream = client.responses.stream({ model, input: "Once", max_output_tokens: 8, temperature: 0 });
    const types = [];
    for await (const event of stream) types.push(event.type);
    assert.equal(types[0], "response.created");
    assert.ok(types.includes("response.output_text.delta"));
    const whole = await client.responses.create({ model, input: "Once", max_output_tokens: 8, temperature: 0 });
    assert.equal(typeof whole.output_text, "string");
  },
  async models() {
    const ids = [];
    for await (const m of client.models.list()) ids.push(m.id);
    assert.ok(ids.includes(model));
  },
  async errors() {
    await assert.rejects(client.chat.completions.create({ model: "nobody:1b", messages }), OpenAI.NotFoundError);
    await assert.rejects(client.chat.completions.create({ model, messages, functions: tools }),
      OpenAI.BadRequestError);
  },
  async abort() {
    const stream = await client.chat.completions.create(
      { model, messages, ignore_eos: true, max_tokens: 100000, stream: true });
    for await (const chunk of stream) {
      if (chunk) stream.controller.abort();
      break;
    }
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
  } catch (error) {
    failed++;
    console.log(`FAILED ${name}: ${error.stack}`);
  }
}
process.exit(failed ? 1 : 0);
