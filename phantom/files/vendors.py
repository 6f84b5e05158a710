"""Makers and model lines of CT scanners and how each writes its files; names after the makers' own conformance papers.

Nothing here depends on what a scan shows. Kernel names come in four classes (soft, standard, sharp, bone).
"""

from __future__ import annotations

from dataclasses import dataclass

KERNEL_CLASSES = ("soft", "standard", "sharp", "bone")


@dataclass(frozen=True)
class Storage:
    """How HU become stored values. `padding` is stored, `padding_tag` what the header says of it, if anything."""

    bits_stored: int = 16
    is_signed: bool = False
    slope: float = 1.0
    intercept: float = -1024.0
    padding: int | None = None
    padding_tag: int | None = None
    rescale_type: str | None = "HU"


@dataclass(frozen=True)
class ModelLine:
    """One line of scanners. `type_tail` is what it writes behind the first three values of Image Type."""

    maker: str
    model: str
    software: tuple[str, ...]
    kernels: dict[str, str | list[str]]
    type_tail: tuple[str, ...]
    style: str
    numbering: str
    private: str
    station: str
    storages: tuple[Storage, ...]

    @property
    def kernel_says(self) -> bool:
        """Whether its kernels have names that say what they are for; some makers number them."""
        return not str(self.kernels["standard"]).isdigit()

    @property
    def name(self) -> str:
        """Maker and model in one short word, for the truth table."""
        return f"{self.maker.split()[0]} {self.model}"


def _kernels(
    soft: str | list[str], standard: str | list[str], sharp: str | list[str], bone: str | list[str]
) -> dict[str, str | list[str]]:
    return dict(zip(KERNEL_CLASSES, (soft, standard, sharp, bone), strict=True))


_GE_STORAGES = (
    Storage(is_signed=True, padding=-2000, padding_tag=-2000),  # reads as -3024 HU
    Storage(is_signed=True, intercept=0.0, padding=-2000, padding_tag=-2000),
    Storage(padding=63536, padding_tag=63536),  # -2000 in unsigned bits
)
_SIEMENS_STORAGES = (
    Storage(bits_stored=12),
    Storage(bits_stored=12, padding=0, padding_tag=0),
    Storage(intercept=-8192.0),
)
# Dealt out in turn, so that the first studies of a small hospital already differ.
LINES: tuple[ModelLine, ...] = (
    ModelLine(
        "SIEMENS",
        "SOMATOM Force",
        ("syngo CT VB20A",),
        _kernels("Br36d", "Br40d", "Br49d", "Br64d"),
        ("CT_SOM7 SPI",),
        "siemens",
        "siemens",
        "siemens",
        "CT{:05d}",
        _SIEMENS_STORAGES,
    ),
    ModelLine(
        "GE MEDICAL SYSTEMS",
        "Revolution CT",
        ("revo_ct_22bc.50",),
        _kernels("SOFT", "STANDARD", "DETAIL", "BONEPLUS"),
        (),
        "ge",
        "ge",
        "ge",
        "REVO{:02d}",
        _GE_STORAGES,
    ),
    ModelLine(
        "UIH",
        "uCT 760",
        ("R004.51.0.302845",),
        _kernels("B_SOFT_A", "B_SOFT_B", "B_SHARP_C", "B_BONE_C"),
        ("NONE",),
        "chinese",
        "hundreds",
        "uih",
        "UCT{:d}",
        (Storage(intercept=-8192.0, padding=0, padding_tag=0), Storage(rescale_type=None)),
    ),
    ModelLine(
        "Philips",
        "Brilliance 64",
        ("3.5.4", "4.1"),
        _kernels("A", "B", "C", "YD"),
        ("HELIX",),
        "philips",
        "hundreds",
        "philips",
        "HOST-{:d}",
        (
            Storage(bits_stored=12),
            Storage(is_signed=True, intercept=0.0, padding=-2000, padding_tag=-2000),
        ),
    ),
    ModelLine(
        "TOSHIBA",
        "Aquilion PRIME",
        ("V6.04SP0003",),
        _kernels("FC03", "FC08", "FC18", "FC30"),
        (),
        "canon",
        "few",
        "toshiba",
        "ID_STATION{:d}",
        (
            Storage(is_signed=True, intercept=0.0, padding=-2048, padding_tag=-2048),
            Storage(bits_stored=13, is_signed=True, intercept=0.0),
        ),
    ),
    ModelLine(
        "NMS",
        "NeuViz 64",
        ("2.0.5.P0", "NeuViz"),
        _kernels("SFT", "STND", "SHARP", "BONE"),
        ("HELIX",),
        "chinese",
        "few",
        "neusoft",
        "NEUVIZ{:d}",
        (
            Storage(is_signed=True, intercept=0.0, padding=-3024, padding_tag=-3024),
            Storage(is_signed=True, intercept=0.0, padding=-2000, rescale_type=None),  # no tag says so
        ),
    ),
    ModelLine(
        "SIEMENS",
        "SOMATOM Definition AS+",
        ("syngo CT 2012B",),
        _kernels(["I30f", "2"], ["I40f", "3"], ["I50f", "3"], "B70f"),
        ("CT_SOM5 SPI",),
        "siemens",
        "siemens",
        "siemens",
        "CTAWP{:05d}",
        _SIEMENS_STORAGES,
    ),
    ModelLine(
        "CANON_MEC",
        "Aquilion ONE",
        ("V10.11ER004",),
        _kernels("FC02", "FC13", "FC19", "FC35"),
        (),
        "canon",
        "few",
        "toshiba",
        "ONE-{:d}",
        (Storage(is_signed=True, intercept=0.0), Storage(bits_stored=12, intercept=-1024.0)),
    ),
    ModelLine(
        "Hitachi Medical Corporation",
        "SCENARIA",
        ("2.30-A",),
        _kernels("11", "32", "40", "72"),
        (),
        "plain",
        "few",
        "hitachi",
        "HMC-{:03d}",
        (
            Storage(slope=0.5, intercept=-2048.0),
            Storage(is_signed=True, intercept=0.0, rescale_type="Hounsfield Unit"),
        ),
    ),
    ModelLine(
        "NeuroLogica",
        "BodyTom",
        ("4.0.12",),
        _kernels("Soft Tissue", "Standard", "Sharp", "Bone"),
        (),
        "plain",
        "few",
        "",
        "PORTABLE{:d}",
        (Storage(slope=2.0, is_signed=True, intercept=0.0), Storage(padding=63536, padding_tag=63536)),
    ),
    ModelLine(
        "GE MEDICAL SYSTEMS",
        "LightSpeed VCT",
        ("07MW18.4",),
        _kernels("SOFT", "STANDARD", "DETAIL", "BONE"),
        (),
        "ge",
        "ge",
        "ge",
        "CT{:02d}_OC0",
        _GE_STORAGES,
    ),
)


@dataclass(frozen=True)
class Device:
    """One scanner in one room."""

    line: ModelLine
    station: str
    room: int

    def kernel(self, kernel_class: str) -> str | list[str]:
        """The maker's name of a kernel of that class."""
        return self.line.kernels.get(kernel_class, self.line.kernels["standard"])


def device(number: int, seed: int) -> Device:
    """The scanner of study `number`, dealt out in turn; two rooms a line."""
    line = LINES[(number + seed) % len(LINES)]
    room = 1 + (number // len(LINES)) % 2
    return Device(line, line.station.format(room), room)


def storage_of(line: ModelLine, number: int) -> Storage:
    """How that scanner stored study `number`."""
    return line.storages[(number // len(LINES) + number) % len(line.storages)]
