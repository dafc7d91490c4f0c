"""The report: built, served, opened, and a front page over several."""

from __future__ import annotations

from llamaagent.cli.commands.words import DATA, PERIOD_END, SINCE
from llamaagent.cli.spec import Arg, Opt, Spec

REPORTING = (
    Spec(
        "report build",
        DATA,
        "Write the static site.",
        "report:build",
        (
            Opt("out", ("-o", "--out"), "Where (default: reports.directory).", "text", "DIR"),
            Opt(
                "single_file",
                ("--single-file",),
                "The pages of the day as one HTML file instead.",
                "text",
                "FILE",
            ),
            SINCE,
            PERIOD_END,
            Opt("project", ("--project",), "Only what belongs to this project.", "text", "NAME"),
            Opt(
                "profile",
                ("--profile",),
                "Only this profile; may be repeated, * and ? match.",
                "many",
                "NAME",
            ),
            Opt(
                "pictures",
                ("--pictures",),
                "PNG and CSV files: which to draw.",
                "text",
                None,
                ("all", "due", "none"),
            ),
            Opt("open", ("--open",), "Print the file:// address."),
        ),
        (),
        "llamaagent report build --project research --since mon --single-file research.html",
    ),
    Spec(
        "report serve",
        DATA,
        "Show the site on 127.0.0.1 until Ctrl-C.\n\nNothing is built and nothing but the site's files is served.",
        "reportserve:serve",
        (
            Opt("out", ("-o", "--out"), "Which folder (default: reports.directory).", "text", "DIR"),
            Opt("port", ("--port",), "Default: 8090, or a free one where it is taken.", "int", "PORT"),
        ),
        (),
        "llamaagent report serve --port 8090",
    ),
    Spec(
        "report open",
        DATA,
        "Open the site in the browser; print its address where there is none.",
        "reportserve:show",
        (Opt("out", ("-o", "--out"), "Which folder (default: reports.directory).", "text", "DIR"),),
        (),
        "llamaagent report open",
    ),
    Spec(
        "report index",
        DATA,
        "Write a front page over several sites.\n\n"
        "Reads the status.json of each; one that cannot be read is told as such.",
        "reportindex:build",
        (
            Opt("out", ("-o", "--out"), "A folder for the front page alone.", "text", "DIR"),
            Opt("title", ("--title",), "What the page is called.", "text", "TEXT"),
            Opt("timeout", ("--timeout",), "At most so long for each address (default 10s).", "text", "TIME"),
        ),
        (
            Arg(
                "site", "A folder that `report build` wrote, or the address of one.", many=True, required=True
            ),
        ),
        "llamaagent report index -o /var/www/all /var/www/gpu1 https://gpu2.example.org/llama/",
    ),
)
