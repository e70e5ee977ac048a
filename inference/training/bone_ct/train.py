"""Train on the CPU: `python -m training.bone_ct.train DATA OUT --minutes 35`.

It reads whatever sample archives lie in DATA by then. The seed fixes weights, order and augmentation, but how
many steps fit into the minutes depends on the machine: two runs agree in quality, not bit for bit.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found]  # lives in the training environment only
from numpy.typing import NDArray
from torch.nn import functional  # type: ignore[import-not-found]  # as above

from gantry_inference.transforms import PreprocessSpec
from training.bone_ct.network import BoneNet

SPEC = PreprocessSpec()
# Half of every batch is real: two patients against hundreds of phantoms.
REAL_SHARE = 0.5
# The network is convolutional: training on the middle of the grid, where the body is, costs 60%.
CROP = (176, 224)


class Samples:
    """All sample archives of a folder; reads new ones when asked."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self.folder, self.pattern = folder, pattern
        self.seen: set[Path] = set()
        self.parts: list[tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]] = []
        self.index = np.zeros((0, 2), dtype=np.int64)

    def refresh(self) -> int:
        """Read archives that appeared since the last call; return how many samples there are."""
        for path in sorted(self.folder.glob(self.pattern)):
            if path in self.seen or time.time() - path.stat().st_mtime < 5:
                continue
            with np.load(path) as archive:
                self.parts.append((archive["image"], archive["label"], archive["weight"]))
            self.seen.add(path)
            added = np.array([(len(self.parts) - 1, n) for n in range(len(self.parts[-1][0]))])
            self.index = np.concatenate([self.index, added])
        return len(self.index)

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]:
        """Return one sample."""
        part, n = self.index[rng.integers(len(self.index))]
        images, labels, weights = self.parts[part]
        return images[n], labels[n], weights[n]


def augment(
    images: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Vary pose, size, HU scale, blur and noise; images in HU."""
    count = len(images)
    theta = np.zeros((count, 2, 3), dtype=np.float32)
    for n in range(count):
        angle = np.radians(rng.normal(0, 9))
        scale = np.exp(rng.normal(0.0, 0.19))
        stretch = np.exp(rng.normal(0.0, 0.06))
        flip = -1.0 if rng.random() < 0.5 else 1.0
        turn = -1.0 if rng.random() < 0.06 else 1.0
        cosine, sine = np.cos(angle), np.sin(angle)
        theta[n] = [
            [flip * scale * stretch * cosine, -scale * sine, rng.normal(0, 0.1)],
            [scale * sine, turn * scale / stretch * cosine, rng.normal(0, 0.15)],
        ]
    height, width = CROP
    theta[:, :, 0] *= width / images.shape[3]
    theta[:, :, 1] *= height / images.shape[2]
    theta[:, :, 2] = np.clip(theta[:, :, 2], -0.3, 0.3)
    grid = functional.affine_grid(torch.from_numpy(theta), [count, 3, height, width], align_corners=False)
    images = functional.grid_sample(images + 1000.0, grid, align_corners=False) - 1000.0
    both = functional.grid_sample(torch.stack([labels, weights], 1), grid, align_corners=False)
    # Where the grid leaves the sample there is air, and that is certain.
    inside = functional.grid_sample(torch.ones_like(labels)[:, None], grid, align_corners=False)[:, 0]
    labels, weights = both[:, 0], ((both[:, 1] > 0.9) | (inside < 0.5)).float()
    for n in range(count):
        image = images[n]
        if rng.random() < 0.6:
            image = _with_density(image, labels[n], rng)
        if rng.random() < 0.5:
            image = _with_decoys(image, labels[n], rng)
        if rng.random() < 0.25:
            # A thick slice holds something of its neighbours.
            share = float(rng.uniform(0, 0.2))
            image[1] = (1 - 2 * share) * image[1] + share * (image[0] + image[2])
        if rng.random() < 0.35:
            image = _blur(image, float(rng.uniform(0.3, 1.2)))
        gain = float(np.clip(rng.normal(1.0, 0.13), 0.65, 1.45))
        image = torch.where(image > 0, image * gain, image) + float(rng.normal(0, 12))
        if rng.random() < 0.6:
            noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
            if rng.random() < 0.5:
                noise = _blur(noise, 0.7) * 2.3
            image = image + noise * float(rng.exponential(22.0))
        if rng.random() < 0.08:
            # A slab without neighbours, as at the ends of a scan or between very thick slices.
            image = image[1:2].expand(3, -1, -1)
        images[n] = image
    return images, labels, weights


def _with_density(image: torch.Tensor, label: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Change the mineral of the bones, and the fat in their marrow: from osteoporosis to sclerosis.

    Both real patients have dense bones; many patients do not.
    """
    bright = float(rng.uniform(0.3, 1.25))
    marrow = float(rng.uniform(-130, 60))
    inside = torch.clamp(functional.avg_pool2d(label[None, None], 5, 1, 2)[0, 0] * 4 - 3, 0, 1)
    changed = image + label * torch.clamp(image - 60, min=0) * (bright - 1)
    # Marrow that is as bright as muscle or darker is told from muscle by its shell alone.
    dim = torch.clamp((450 - changed) / 300, 0, 1)
    return changed + inside * dim * marrow


def _with_decoys(image: torch.Tensor, label: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Paint contrast agent and calcifications into soft tissue: bright, but no bone.

    The real volumes have no contrast agent, and the phantoms' vessels lie where phantoms have them.
    """
    soft = (image[1] > -40) & (image[1] < 130) & (label < 0.02)
    places = torch.nonzero(soft)
    if len(places) < 50:
        return image
    height, width = label.shape
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    painted = image.clone()
    for _ in range(int(rng.integers(1, 7))):
        row, column = (float(v) for v in places[rng.integers(len(places))])
        angle, small = rng.uniform(0, np.pi), rng.random() < 0.5
        radii = rng.uniform(0.5, 2.5, 2) if small else rng.uniform(2.5, 16, 2)
        hu = rng.uniform(250, 1100) if small else rng.uniform(110, 480)
        drift = rng.normal(0, 0.6, 2)
        calcified, sector, wall_hu = not small and rng.random() < 0.3, rng.uniform(0, 6.28), rng.uniform(400, 1000)
        for channel in range(3):
            dy, dx = y - row - drift[0] * (channel - 1), x - column - drift[1] * (channel - 1)
            along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
            level = torch.sqrt((along / radii[0]) ** 2 + (across / radii[1]) ** 2)
            cover = torch.clamp(0.5 - (level - 1) * float(radii.min()), 0, 1) * soft
            painted[channel] += cover * (hu - painted[channel])
            if calcified:
                wall = torch.clamp(1.2 - torch.abs(level - 1) * float(radii.min()), 0, 1) * soft
                wall = wall * (torch.cos(torch.atan2(across, along) - sector) > 0.2)
                painted[channel] += wall * (wall_hu - painted[channel])
    return painted


def _blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    taps = torch.exp(-0.5 * (torch.arange(-3, 4) / sigma) ** 2)
    taps = taps / taps.sum()
    blurred = functional.conv2d(image[:, None], taps.view(1, 1, 1, 7), padding=(0, 3))
    return functional.conv2d(blurred, taps.view(1, 1, 7, 1), padding=(3, 0))[:, 0]


def loss_of(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return cross entropy against the covered share of each pixel plus soft Dice over the batch."""
    entropy = functional.binary_cross_entropy_with_logits(logits[:, 0], labels, reduction="none")
    # Bone is 3% of a slice; its surroundings matter more than the far air.
    near = functional.max_pool2d(labels[:, None], 9, 1, 4)[:, 0]
    emphasis = weights * (1.0 + 4.0 * near)
    chance = torch.sigmoid(logits[:, 0]) * weights
    target = labels * weights
    dice = 1 - (2 * (chance * target).sum() + 1) / ((chance**2).sum() + (target**2).sum() + 1)
    return (entropy * emphasis).sum() / emphasis.sum() * 4 + dice


def _average(mean: torch.Tensor, latest: torch.Tensor, count: int) -> torch.Tensor:
    """Return the running mean of the weights over about the last hundred steps, fewer at the start."""
    share = max(0.01, 9.0 / (10.0 + float(count)))
    return mean + (latest - mean) * share


def main() -> None:
    """Train until the minutes or the steps are over; keep an exponential average of the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=35.0)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--start", type=Path, help="checkpoint to go on from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=2.5e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1, help="more cost more than they bring when others compute too")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)
    network = BoneNet().to(memory_format=torch.channels_last)
    if args.start:
        network.load_state_dict(torch.load(args.start, weights_only=True))
    average = torch.optim.swa_utils.AveragedModel(network, avg_fn=_average, use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.rate, weight_decay=1e-4)
    real, phantoms = Samples(args.data, "real_*_train.npz"), Samples(args.data, "phantom_0*.npz")
    args.out.mkdir(parents=True, exist_ok=True)
    started, running = time.monotonic(), 0.0
    for step in range(1, args.steps + 1):
        progress = max((time.monotonic() - started) / 60 / args.minutes, step / args.steps)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1.0, step / 100) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * progress)))
        if step % 100 == 1:
            sizes = real.refresh(), phantoms.refresh()
        drawn = [(real if rng.random() < REAL_SHARE else phantoms).draw(rng) for _ in range(args.batch)]
        images, labels, weights = (
            torch.from_numpy(np.stack(part).astype(np.float32)) for part in zip(*drawn, strict=True)
        )
        images, labels, weights = augment(images, labels / 255.0, weights, rng)
        images = torch.clamp(images, SPEC.low_hu, SPEC.high_hu) / SPEC.unit_hu
        network.train()
        # bfloat16 convolutions take a third of the time on recent processors; the weights stay float32.
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images.to(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), labels, weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        average.update_parameters(network)
        running += float(loss.detach())
        if step % 50 == 0:
            minutes = (time.monotonic() - started) / 60
            print(f"step {step} {minutes:.1f} min loss {running / 50:.4f} samples {sizes}", flush=True)
            running = 0.0
        if step % 250 == 0:
            torch.save(average.module.state_dict(), args.out / "bone_ct.pt")
    torch.save(average.module.state_dict(), args.out / "bone_ct.pt")


if __name__ == "__main__":
    main()
