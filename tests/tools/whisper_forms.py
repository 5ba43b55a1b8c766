"""A Whisper folder of Hugging Face in the forms of other programs, for tests of reading them.

usage: whisper_forms.py FOLDER OUT
writes OUT/ct2/ (CTranslate2, F16), OUT/openai/model.pt and its vocabulary (PyTorch, the folder's
type), OUT/ggml.bin (whisper.cpp, F16 matrices). Standard library only."""
import base64, json, math, os, pickle, shutil, struct, sys, zipfile
from array import array

folder, out = sys.argv[1:3]
config = json.load(open(f"{folder}/config.json"))
generation = json.load(open(f"{folder}/generation_config.json"))

# --- the weights as lists of floats ---

raw = open(f"{folder}/model.safetensors", "rb").read()
header_bytes = struct.unpack("<Q", raw[:8])[0]
header = json.loads(raw[8 : 8 + header_bytes])
header.pop("__metadata__", None)
CODES = {"F32": "f", "F16": "e"}
SAFE_TYPE = next(iter(header.values()))["dtype"]


def floats(info):
    begin, end = info["data_offsets"]
    data = raw[8 + header_bytes + begin : 8 + header_bytes + end]
    code = CODES[info["dtype"]]
    return struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)


tensors = {name: (info["shape"], floats(info)) for name, info in header.items()}
tensors.pop("proj_out.weight", None)

PARTS = {
    "self_attn_layer_norm": "attn_ln", "self_attn.q_proj": "attn.query",
    "self_attn.k_proj": "attn.key", "self_attn.v_proj": "attn.value",
    "self_attn.out_proj": "attn.out", "encoder_attn_layer_norm": "cross_attn_ln",
    "encoder_attn.q_proj": "cross_attn.query", "encoder_attn.k_proj": "cross_attn.key",
    "encoder_attn.v_proj": "cross_attn.value", "encoder_attn.out_proj": "cross_attn.out",
    "final_layer_norm": "mlp_ln", "fc1": "mlp.0", "fc2": "mlp.2",
}


def openai_name(name):
    name = name.removeprefix("model.")
    for ours, theirs in (
        ("encoder.embed_positions.weight", "encoder.positional_embedding"),
        ("decoder.embed_positions.weight", "decoder.positional_embedding"),
        ("decoder.embed_tokens.weight", "decoder.token_embedding.weight"),
        ("encoder.layer_norm.", "encoder.ln_post."), ("decoder.layer_norm.", "decoder.ln."),
    ):
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    if ".layers." not in name:
        return name
    stack, rest = name.split(".layers.")
    layer, rest = rest.split(".", 1)
    part, kind = rest.rsplit(".", 1)
    return f"{stack}.blocks.{layer}.{PARTS[part]}.{kind}"


openai = {openai_name(name): t for name, t in tensors.items()}

# --- the vocabulary as bytes ---

alphabet = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
character = {b: chr(b) for b in alphabet}
for i, b in enumerate(b for b in range(256) if b not in character):
    character[b] = chr(256 + i)
byte = {c: b for b, c in character.items()}
tokenizer = json.load(open(f"{folder}/tokenizer.json"))
special = {t["content"] for t in tokenizer["added_tokens"]}
vocabulary = sorted((i, t) for t, i in tokenizer["model"]["vocab"].items() if t not in special)
texts = [bytes(byte[c] for c in text) for _, text in vocabulary]
n_vocab = tensors["model.decoder.embed_tokens.weight"][0][0]
multilingual = generation["is_multilingual"]

# --- CTranslate2 ---

os.makedirs(f"{out}/ct2", exist_ok=True)
shutil.copy(f"{folder}/tokenizer.json", f"{out}/ct2")
json.dump({"alignment_heads": generation.get("alignment_heads", [[1, 0]]),
           "suppress_ids": generation["suppress_tokens"],
           "suppress_ids_begin": generation["begin_suppress_tokens"]},
          open(f"{out}/ct2/config.json", "w"))


def string(text):
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def variable(name, shape, values, code="e", type_id=4):
    data = struct.pack(f"<{len(values)}{code}", *values)
    sizes = b"".join(struct.pack("<I", s) for s in shape)
    return (string(name) + struct.pack("<B", len(shape)) + sizes +
            struct.pack("<BI", type_id, len(data)) + data)


variables = []
for stack, width in (("encoder", config["d_model"]), ("decoder", config["d_model"])):
    variables.append(variable(f"{stack}/num_heads", [], [config[f"{stack}_attention_heads"]], "h", 2))
    position = openai[f"{stack}.positional_embedding"]
    variables.append(variable(f"{stack}/position_encodings/encodings", *position))
    norm = "encoder.ln_post" if stack == "encoder" else "decoder.ln"
    variables.append(variable(f"{stack}/layer_norm/gamma", *openai[f"{norm}.weight"]))
    variables.append(variable(f"{stack}/layer_norm/beta", *openai[f"{norm}.bias"]))
    for i in range(config[f"{stack}_layers"]):
        block, to = f"{stack}.blocks.{i}", f"{stack}/layer_{i}"
        pairs = [("attn_ln", "self_attention/layer_norm"), ("mlp_ln", "ffn/layer_norm")]
        fused = [(["attn.query", "attn.key", "attn.value"], "self_attention/linear_0"),
                 (["attn.out"], "self_attention/linear_1"),
                 (["mlp.0"], "ffn/linear_0"), (["mlp.2"], "ffn/linear_1")]
        if stack == "decoder":
            pairs.append(("cross_attn_ln", "attention/layer_norm"))
            fused += [(["cross_attn.query"], "attention/linear_0"),
                      (["cross_attn.key", "cross_attn.value"], "attention/linear_1"),
                      (["cross_attn.out"], "attention/linear_2")]
        for name, ct2 in pairs:
            variables.append(variable(f"{to}/{ct2}/gamma", *openai[f"{block}.{name}.weight"]))
            variables.append(variable(f"{to}/{ct2}/beta", *openai[f"{block}.{name}.bias"]))
        for names, ct2 in fused:
            weights = [openai[f"{block}.{n}.weight"] for n in names]
            biases = [openai.get(f"{block}.{n}.bias", (None, (0.0,) * w[0][0]))[1]
                      for n, w in zip(names, weights)]
            rows = sum(w[0][0] for w in weights)
            variables.append(variable(f"{to}/{ct2}/weight", [rows, weights[0][0][1]],
                                      [x for w in weights for x in w[1]]))
            variables.append(variable(f"{to}/{ct2}/bias", [rows], [x for b in biases for x in b]))
for i in (1, 2):
    variables.append(variable(f"encoder/conv{i}/weight", *openai[f"encoder.conv{i}.weight"]))
    variables.append(variable(f"encoder/conv{i}/bias", *openai[f"encoder.conv{i}.bias"]))
variables.append(variable("decoder/embeddings/weight", *openai["decoder.token_embedding.weight"]))
with open(f"{out}/ct2/model.bin", "wb") as f:
    f.write(struct.pack("<I", 6) + string("WhisperSpec") + struct.pack("<II", 3, len(variables)))
    f.write(b"".join(variables))
    f.write(struct.pack("<I", 1) + string("decoder/projection/weight"))
    f.write(string("decoder/embeddings/weight"))

# --- whisper.cpp ---


def mel_filters():
    def hz(mel):
        return mel * 200 / 3 if mel < 15 else 1000 * math.exp(math.log(6.4) / 27 * (mel - 15))

    top = 15 + math.log(8) / (math.log(6.4) / 27)
    points = [hz(top * i / 81) for i in range(82)]
    for i in range(80):
        low, mid, high = points[i : i + 3]
        for k in range(201):
            f = k * 40.0
            yield max(0, min((f - low) / (mid - low), (high - f) / (high - mid))) * 2 / (high - low)


with open(f"{out}/ggml.bin", "wb") as f:
    f.write(struct.pack("<I11i", 0x67676D6C, n_vocab, config["max_source_positions"],
                        config["d_model"], config["encoder_attention_heads"],
                        config["encoder_layers"], config["max_target_positions"],
                        config["d_model"], config["decoder_attention_heads"],
                        config["decoder_layers"], config["num_mel_bins"], 1))
    f.write(struct.pack("<ii", 80, 201) + struct.pack("<16080f", *mel_filters()))
    f.write(struct.pack("<i", len(texts)))
    for text in texts:
        f.write(struct.pack("<i", len(text)) + text)
    for name, (shape, values) in openai.items():
        if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
            shape = [shape[0], 1]
        half = len(shape) > 1 and "positional" not in name and "bias" not in name
        f.write(struct.pack("<3i", len(shape), len(name), 1 if half else 0))
        f.write(b"".join(struct.pack("<i", s) for s in reversed(shape)) + name.encode())
        f.write(struct.pack(f"<{len(values)}{'e' if half else 'f'}", *values))

# --- PyTorch: pickled by hand, with classes that stand for torch's ---


class Storage:
    def __init__(self, key, count):
        self.key, self.count = key, count


class Stand:
    """Pickles as a call or a class of torch."""

    def __init__(self, name, *args):
        self.name, self.args = name, args


class Pickler(pickle._Pickler):
    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        kind = "torch HalfStorage" if SAFE_TYPE == "F16" else "torch FloatStorage"
        return ("storage", Stand(kind), obj.key, "cpu", obj.count)

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Stand):
            module, name = obj.name.split(" ")
            self.write(b"c" + module.encode() + b"\n" + name.encode() + b"\n")
            if obj.args:
                self.save(obj.args[0])
                self.write(b"R")
            return
        super().save(obj, save_persistent_id)


os.makedirs(f"{out}/openai", exist_ok=True)
file_name = "multilingual.tiktoken" if multilingual or n_vocab >= 51865 else "gpt2.tiktoken"
if n_vocab < 51865:
    file_name = "gpt2.tiktoken"
with open(f"{out}/openai/{file_name}", "wb") as f:
    for i, text in enumerate(texts):
        f.write(base64.b64encode(text) + b" %d\n" % i)

import collections, io

state, storages = collections.OrderedDict(), []
for i, (name, (shape, values)) in enumerate(openai.items()):
    strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
    stored = values
    if name.endswith("mlp.0.weight"):  # one kind of matrix lies transposed
        rows, columns = shape
        stored = [values[r * columns + c] for c in range(columns) for r in range(rows)]
        strides = [1, rows]
    storages.append(struct.pack(f"<{len(stored)}{CODES[SAFE_TYPE]}", *stored))
    args = (Storage(str(i), len(stored)), 0, tuple(shape), tuple(strides), False,
            Stand("collections OrderedDict", ()))
    state[name] = Stand("torch._utils _rebuild_tensor_v2", args)
dims = {"n_mels": config["num_mel_bins"], "n_audio_ctx": config["max_source_positions"],
        "n_audio_state": config["d_model"], "n_audio_head": config["encoder_attention_heads"],
        "n_audio_layer": config["encoder_layers"], "n_vocab": n_vocab,
        "n_text_ctx": config["max_target_positions"], "n_text_state": config["d_model"],
        "n_text_head": config["decoder_attention_heads"], "n_text_layer": config["decoder_layers"]}
pickled = io.BytesIO()
Pickler(pickled, protocol=2).dump({"dims": dims, "model_state_dict": state})
with zipfile.ZipFile(f"{out}/openai/model.pt", "w", zipfile.ZIP_STORED) as z:
    z.writestr("model/data.pkl", pickled.getvalue())
    z.writestr("model/byteorder", "little")
    for i, data in enumerate(storages):
        z.writestr(f"model/data/{i}", data)
    z.writestr("model/version", "3\n")
