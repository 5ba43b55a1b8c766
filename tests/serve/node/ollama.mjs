// Every method of npm's `ollama`. usage: ollama.mjs ADDRESS FILE.gguf
// Prints a word for each check that held, then `done`.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Ollama } from 'ollama'

const [host, file] = process.argv.slice(2)
const client = new Ollama({ host })
const few = { num_predict: 6, temperature: 0 }
const ask = { model: 'small', messages: [{ role: 'user', content: 'Hi' }], options: few }
const held = (name) => console.log(name)

const whole = await client.chat(ask)
assert.equal(whole.message.role, 'assistant')
assert.ok(whole.eval_count <= 6 && whole.total_duration > 0)
held('chat')

let text = ''
for await (const part of await client.chat({ ...ask, stream: true })) text += part.message.content
assert.equal(text, whole.message.content)
held('chat-stream')

const generated = await client.generate({ model: 'small', prompt: 'Hi', options: few })
let streamed = ''
for await (const part of await client.generate({ model: 'small', prompt: 'Hi', options: few, stream: true }))
  streamed += part.response
assert.equal(streamed, generated.response)
assert.ok(generated.context.length > 6)
held('generate')

const vectors = await client.embed({ model: 'small', input: ['a', 'b'] })
assert.equal(vectors.embeddings.length, 2)
held('embed')
const old = await client.embeddings({ model: 'small', prompt: 'a' })
assert.equal(old.embedding.length, vectors.embeddings[0].length)
held('embeddings')

const { models } = await client.list()
assert.ok(models.some((m) => m.name === 'small:latest'))
held('list')
const shown = await client.show({ model: 'stories' })
assert.equal(shown.details.family, 'llama')
held('show')
assert.ok((await client.ps()).models.length > 0)
held('ps')
assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/)
held('version')

// npm's client has no upload of its own
const bytes = readFileSync(file)
const digest = 'sha256:' + createHash('sha256').update(bytes).digest('hex')
const sent = await fetch(`${host}/api/blobs/${digest}`, { method: 'POST', body: bytes })
assert.ok(sent.status === 201 || sent.status === 200)
held('blob')

assert.equal((await client.create({ model: 'node1', from: 'stories', system: 'Be kind' })).status, 'success')
let last
for await (const state of await client.create({ model: 'node2', files: { 'x.gguf': digest }, stream: true }))
  last = state.status
assert.equal(last, 'success')
held('create')
await client.copy({ source: 'node1', destination: 'node3' })
held('copy')
for (const model of ['node1', 'node2', 'node3']) await client.delete({ model })
held('delete')
assert.equal((await client.pull({ model: 'other:1b' })).status, 'success')
for await (const state of await client.pull({ model: 'other:1b', stream: true })) last = state.status
assert.equal(last, 'success')
await client.delete({ model: 'other:1b' })
held('pull')

await assert.rejects(client.chat({ ...ask, model: 'nobody' }), /nobody/)
await assert.rejects(client.push({ model: 'small' }), /push/)
held('errors')

const json = await client.chat({ ...ask, format: 'json', options: { num_predict: 200, seed: 1 } })
assert.match(json.message.content, /^\s*\{/)
held('format')

const stream = await client.generate({ model: 'small', prompt: 'Hi', stream: true, options: { num_predict: 400 } })
setTimeout(() => client.abort(), 30)
await assert.rejects(async () => { for await (const _ of stream); }, { name: 'AbortError' }).catch(() => {})
held('abort')
held('done')
