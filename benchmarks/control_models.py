"""Controls of a pre-trained model: copies of its folder whose weights know nothing.

    python benchmarks/control_models.py MODEL --redrawn FOLDER --shuffled FOLDER

The tokenizer and the configuration are those of the model. `--redrawn` draws all weights anew, as transformers does
before a pre-training. `--shuffled` permutes the weights within each tensor, so that their distribution stays, and what
the model has learnt is lost. A predictor that works as well on a control as on the model does not need the knowledge of
the model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

SEED = 0


def redrawn(folder: Path) -> PreTrainedModel:
    """Return a model with the configuration of the folder and random weights."""
    torch.manual_seed(SEED)
    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).float()


def shuffled(folder: Path) -> PreTrainedModel:
    """Return the model of the folder with the values of each tensor in a random order."""
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in model.parameters():
            values = parameter.view(-1)
            values.copy_(values[torch.randperm(values.numel(), generator=generator)])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of a causal model with safetensors")
    parser.add_argument("--redrawn", type=Path, help="folder of the model with random weights")
    parser.add_argument("--shuffled", type=Path, help="folder of the model with shuffled weights")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    for folder, make in ((options.redrawn, redrawn), (options.shuffled, shuffled)):
        if folder is not None:
            make(options.model).save_pretrained(folder)
            tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
