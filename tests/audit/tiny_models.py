"""Tiny models of transformers in folders, with a tokenizer of whole words, made on the spot."""

import os

WORDS = "The word is I have been thinking about This sentence capital of country that borders ."
SPECIAL = ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")


def write_tokenizer(folder, names, *, encloses=False):
    """Words between blanks are tokens; with `encloses` sentences stand between [CLS] and [SEP]."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = dict.fromkeys([*SPECIAL, *WORDS.split(), *(word for name in names for word in name.split())])
    tokens = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if encloses:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]"
    ).save_pretrained(folder)
    return tokens


def write_model(folder, kind, names, *, seed=0):
    """A folder with a model of random weights: "gpt2", "llama" (head of its own), "bert" or "mamba"."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    size = len(write_tokenizer(folder, names, encloses=kind == "bert"))
    ends = {"bos_token_id": None, "eos_token_id": None}
    gpt2 = {"n_positions": 24, "n_embd": 32, "n_layer": 3, "n_head": 2, **ends}
    others = {"hidden_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 24}
    configuration = {
        "gpt2": lambda: transformers.GPT2Config(vocab_size=size, **gpt2),
        "llama": lambda: transformers.LlamaConfig(
            vocab_size=size, num_key_value_heads=2, tie_word_embeddings=False, **others, **heads, **ends
        ),
        "bert": lambda: transformers.BertConfig(vocab_size=size, **others, **heads),
        "mamba": lambda: transformers.MambaConfig(vocab_size=size, state_size=4, **others, **ends),
    }[kind]()
    made = transformers.AutoModelForMaskedLM if kind == "bert" else transformers.AutoModelForCausalLM
    torch.manual_seed(seed)
    model = made.from_config(configuration)
    with torch.no_grad():  # at their start blocks add next to nothing, and no mistake would show
        for parameter in model.parameters():
            parameter.mul_(3) if parameter.ndim > 1 else None
    model.save_pretrained(folder)
    return model.eval()
