"""The catalogue of container images."""

from __future__ import annotations

from llamaagent.cli.commands.words import LIMIT, MACHINE
from llamaagent.cli.spec import LISTING, Arg, Opt, Spec

_CUDA = Opt("cuda", ("--cuda",), "CUDA version: '>=12.4', '>=12,<13', 12.4 (any 12.4.x).", "text", "VERSION")
_ARCH = Opt("arch", ("--arch",), "Architecture, such as amd64 or arm64.", "text", "ARCH")
_LOCAL = Opt("local", ("--local",), "Only what the container engine here holds (asked now).")

CATALOG = (
    Spec(
        "catalog sync",
        MACHINE,
        "Bring the catalogue of images up to date.\n\n"
        "IMAGE is NAME[:TAG] with its registry (nvcr.io/nvidia/pytorch), or without for an image that the catalogue "
        "has; * and ? match those. A source is `ngc` (all containers of NGC; tags only of images that were synced "
        "before, or with --versions), or a registry's address (all that it lists). With neither: catalog.sources of "
        "the settings. Answers are kept and not asked for again before catalog.expires; interrupted, the next call "
        "goes on. Exit code 69: a registry cannot be reached (what is kept is used); 65: it answers nonsense.",
        "catalogsync:run",
        (
            Opt("source", ("--source",), "`ngc` or a registry's address; may be repeated.", "many", "SOURCE"),
            Opt("versions", ("--versions",), "The tags of all of NGC's images (tens of thousands)."),
            Opt("refresh", ("--refresh",), "Ask also for what is kept; unchanged answers cost little."),
            Opt("offline", ("--offline",), "Ask nobody: rows from kept answers, however old."),
            Opt("jobs", ("-j", "--jobs"), "Requests at a time (default 8, at most 32).", "int", "N"),
            Opt("insecure", ("--insecure",), "Allow http:// for the registries of this call."),
            *LISTING,
        ),
        (Arg("image", "Images (default: the sources of the settings).", many=True),),
        "llamaagent catalog sync nvcr.io/nvidia/pytorch",
    ),
    Spec(
        "catalog search",
        MACHINE,
        "Images of the catalogue, each with its newest version that fits.\n\n"
        "All words must stand in the name, the description, the organization or the category. Asks no registry.",
        "catalogsearch:search",
        (
            Opt("category", ("--category",), "Such as pytorch or tensorflow.", "text", "NAME"),
            Opt("organization", ("--org", "--organization", "--organisation"), "Whose.", "text", "NAME"),
            _CUDA,
            _ARCH,
            _LOCAL,
            LIMIT,
            *LISTING,
        ),
        (Arg("word", "What to look for.", many=True),),
        "llamaagent catalog search pytorch --cuda '>=12.4'",
    ),
    Spec(
        "catalog versions",
        MACHINE,
        "What is known of each tag and architecture of an image.\n\n"
        "The newest first. IMAGE is a name in the catalogue, with or without its registry. Asks no registry.",
        "catalogsearch:versions",
        (_CUDA, _ARCH, _LOCAL, LIMIT, *LISTING),
        (Arg("image", "The image.", required=True),),
        "llamaagent catalog versions nvidia/pytorch",
    ),
)
