# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that the Stable Diffusion tier is made of: names, sizes, checksums, licences and where they are published.

Sizes and checksums are those that public sources state for the published files; None: no source was found, so nothing is
claimed. The folder names are those of the published projects, so that a folder set up for them is found as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

GIGABYTE = 1e9
_RAIL = "CreativeML OpenRAIL-M"
_CLIP = "https://huggingface.co/lambdalabs/sd-image-variations-diffusers"


@dataclass(frozen=True)
class PublishedFile:
    """One file of a part. ``size``: exact bytes, None where not known; ``about``: bytes for a person; ``sha256``: None where not known."""

    name: str
    about: int
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Part:
    """One part. ``files``: all of them are needed; each entry lists equal forms of one file, the one that is fetched first.

    ``folders``: where it may lie below a root, the first is where it is put. ``repository``/``prefix``: the hub repository and the
    folder in it.
    """

    key: str
    title: str
    folders: tuple[str, ...]
    repository: str
    prefix: str
    files: tuple[tuple[PublishedFile, ...], ...]
    licence: str
    licence_address: str
    needed: bool = True

    @property
    def about(self) -> int:
        """Bytes to fetch."""
        return sum(forms[0].about for forms in self.files)


@dataclass(frozen=True)
class WeightSet:
    """A published set of trained weights and the base parts that it stands on."""

    key: str
    title: str
    family: str  # "aniportrait" or "echomimic": which networks, and how landmarks are drawn
    parts: tuple[str, ...]


def _config(sha256: str | None = None, size: int | None = None) -> tuple[PublishedFile, ...]:
    return (PublishedFile("config.json", size or 1000, size, sha256),)


def _checkpoint(key: str, title: str, repository: str, name: str, about: int) -> Part:
    stem = name.removesuffix(".pth")
    forms = (PublishedFile(name, about), PublishedFile(f"{stem}.safetensors", about))
    folder = {"ZJYang/AniPortrait": "aniportrait", "BadToBest/EchoMimic": "echomimic"}[repository]
    where = f"https://huggingface.co/{repository}"
    return Part(key, title, (folder, "."), repository, "", (forms,), f"Apache-2.0, made from Stable Diffusion 1.5 ({_RAIL})", where)


BASE_PARTS = (
    Part(
        "vae",
        "picture encoder and decoder (sd-vae-ft-mse)",
        ("sd-vae-ft-mse", "vae"),
        "stabilityai/sd-vae-ft-mse",
        "",
        (
            _config("92d3dfb746fca211a2c9e019e285f8597412211728dce3c5bcf4eda0f2d62e7e", 547),
            (
                PublishedFile(
                    "diffusion_pytorch_model.safetensors",
                    334_643_276,
                    334_643_276,
                    "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
                ),
                PublishedFile(
                    "diffusion_pytorch_model.bin",
                    334_707_217,
                    334_707_217,
                    "1b4889b6b1d4ce7ae320a02dedaeff1780ad77d415ea0d744b476155c6377ddc",
                ),
            ),
        ),
        "MIT",
        "https://huggingface.co/stabilityai/sd-vae-ft-mse",
    ),
    Part(
        "image_encoder",
        "portrait encoder (CLIP of sd-image-variations)",
        ("image_encoder", "sd-image-variations-diffusers/image_encoder"),
        "lambdalabs/sd-image-variations-diffusers",
        "image_encoder",
        (
            _config(),
            (
                PublishedFile(
                    "pytorch_model.bin",
                    1_215_993_967,
                    1_215_993_967,
                    "89d2aa29b5fdf64f3ad4f45fb4227ea98bc45156bbae673b85be1af7783dbabb",
                ),
                PublishedFile("model.safetensors", 1_215_993_967),
            ),
        ),
        _RAIL,
        _CLIP,
    ),
    Part(
        "tiny_decoder",
        "small, quick decoder (TAESD), for drafts",
        ("taesd", "tiny_decoder"),
        "madebyollin/taesd",
        "",
        (
            _config("3ebefd1aa96ac474cc6430fe6ea81febccf7ee82461715691ee9315c884adeef"),
            (
                PublishedFile(
                    "diffusion_pytorch_model.safetensors",
                    9_793_292,
                    9_793_292,
                    "db169d69145ec4ff064e49d99c95fa05d3eb04ee453de35824a6d0f325513549",
                ),
            ),
        ),
        "MIT",
        "https://huggingface.co/madebyollin/taesd",
        needed=False,
    ),
)
_ANI, _ECHO = "ZJYang/AniPortrait", "BadToBest/EchoMimic"
CHECKPOINTS = (
    _checkpoint("aniportrait.denoising_unet", "AniPortrait: denoiser", _ANI, "denoising_unet.pth", 3_438_000_000),
    _checkpoint("aniportrait.motion_module", "AniPortrait: motion", _ANI, "motion_module.pth", 1_818_000_000),
    _checkpoint("aniportrait.reference_unet", "AniPortrait: reference", _ANI, "reference_unet.pth", 3_438_000_000),
    _checkpoint("aniportrait.pose_guider", "AniPortrait: landmarks", _ANI, "pose_guider.pth", 670_000_000),
    # EchoMimic's sizes follow from its parameter counts (float32).
    _checkpoint("echomimic_pose.reference_unet", "EchoMimic: reference", _ECHO, "reference_unet_pose.pth", 3_262_000_000),
    _checkpoint("echomimic_pose.face_locator", "EchoMimic: landmarks", _ECHO, "face_locator_pose.pth", 4_400_000),
    _checkpoint("echomimic_pose.denoising_unet", "EchoMimic: denoiser", _ECHO, "denoising_unet_pose.pth", 3_400_000_000),
    _checkpoint("echomimic_pose.motion_module", "EchoMimic: motion", _ECHO, "motion_module_pose.pth", 1_818_000_000),
    _checkpoint("echomimic_pose_acc.denoising_unet", "EchoMimic, few steps: denoiser", _ECHO, "denoising_unet_pose_acc.pth", 3_400_000_000),
    _checkpoint("echomimic_pose_acc.motion_module", "EchoMimic, few steps: motion", _ECHO, "motion_module_pose_acc.pth", 1_818_000_000),
)
VOICE_ENCODER = Part(
    "voice_encoder",
    "voice encoder (whisper-tiny), which moves EchoMimic's mouth",
    ("whisper-tiny", "audio_processor"),
    "openai/whisper-tiny",
    "",
    (
        (
            PublishedFile(
                "model.safetensors", 151_061_672, 151_061_672, "7ebd0e69e78190ffe1438491fa05cc1f5c1aa3a4c4db3bc1723adbb551ea2395"
            ),
            # The first release of the same weights, as EchoMimic's instructions place it.
            PublishedFile("whisper_tiny.pt", 75_572_083, 75_572_083, "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9"),
        ),
    ),
    "Apache-2.0",
    "https://huggingface.co/openai/whisper-tiny",
    needed=False,
)
PARTS = {part.key: part for part in (*BASE_PARTS, *CHECKPOINTS, VOICE_ENCODER)}


def _of(name: str, *keys: str) -> tuple[str, ...]:
    return tuple(f"{name}.{key}" for key in keys)


_ECHO_SHARED = ("vae", "tiny_decoder", VOICE_ENCODER.key, *_of("echomimic_pose", "reference_unet", "face_locator"))
_ANI_PARTS = _of("aniportrait", "denoising_unet", "motion_module", "reference_unet", "pose_guider")
WEIGHT_SETS = {
    chosen.key: chosen
    for chosen in (
        WeightSet("aniportrait", "AniPortrait", "aniportrait", ("vae", "image_encoder", "tiny_decoder", *_ANI_PARTS)),
        WeightSet(
            "echomimic_pose_acc",
            "EchoMimic, few steps",
            "echomimic",
            (*_ECHO_SHARED, *_of("echomimic_pose_acc", "denoising_unet", "motion_module")),
        ),
        WeightSet("echomimic_pose", "EchoMimic", "echomimic", (*_ECHO_SHARED, *_of("echomimic_pose", "denoising_unet", "motion_module"))),
    )
}
