"""A network of a space of kind `mbconv` in PyTorch, trained on a file of arrays: see outside_trainer.py.

The environment names the data: HILDA_DATA, an .npz with x [n, channels, height, width], y, x_val and y_val.
"""

import os

import numpy
import torch
from torch import nn


def convolution(inputs, outputs, kernel, stride=1, groups=1, activate=True):
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU6()) if activate else nn.Sequential(*layers)


class Inverted(nn.Module):
    """Expansion, depthwise convolution, projection; added to its input where shapes allow."""

    def __init__(self, inputs, outputs, kernel, expansion, stride, shortcut=True):
        super().__init__()
        wide = inputs * expansion
        grow = [convolution(inputs, wide, 1)] if expansion > 1 else []
        self.body = nn.Sequential(
            *grow, convolution(wide, wide, kernel, stride, wide), convolution(wide, outputs, 1, activate=False)
        )
        self.is_residual = shortcut and stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.body(x)
        return x + y if self.is_residual else y


def build(space, decisions, architecture):
    """The network of an architecture. `choices` of a layer read k5e3, or skip."""
    stem, width = space["stem"], space["firstWidth"]
    layers = [
        convolution(space["input"][0], stem["width"], stem["kernel"], stem["stride"]),
        Inverted(stem["width"], width, 3, 1, 1, shortcut=False),
    ]
    choices = [decision["choices"][index] for decision, index in zip(decisions, architecture)]
    for stage in space["stages"]:
        for i in range(stage["layers"]):
            choice = choices.pop(0)
            if choice == "skip":
                continue
            kernel, expansion = (int(part) for part in choice[1:].split("e"))
            layers.append(Inverted(width, stage["width"], kernel, expansion, stage["stride"] if i == 0 else 1))
            width = stage["width"]
    head = [convolution(width, space["headWidth"], 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *head, nn.Linear(space["headWidth"], space["classes"]))


def train(space, decisions, architecture, report, epochs=10, batch=128, rate=2e-3):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = numpy.load(os.environ["HILDA_DATA"])
    x, x_val = (torch.as_tensor(data[name], dtype=torch.float32, device=device) for name in ("x", "x_val"))
    y, y_val = (torch.as_tensor(data[name], dtype=torch.int64, device=device) for name in ("y", "y_val"))
    mean, deviation = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True) + 1e-6
    x, x_val = (x - mean) / deviation, (x_val - mean) / deviation

    torch.manual_seed(1)
    network = build(space, decisions, architecture).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * max(1, len(x) // batch))
    right = 0
    for epoch in range(epochs):
        network.train()
        order = torch.randperm(len(x), device=device)
        for start in range(0, max(1, len(x) // batch) * batch, batch):
            rows = order[start : start + batch]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            parts = x_val.split(500)
            right = sum(int((network(p).argmax(1) == l).sum()) for p, l in zip(parts, y_val.split(500)))
        report(epoch + 1, right / len(x_val))
    return {"accuracy": {"value": right / len(x_val), "images": len(x_val)}}
