"""How Sphinx builds the documentation: `make docs`."""

import ast
import importlib.metadata
from pathlib import Path

import click
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from outgrow.cli.main import program

project = "outgrow"
author = "The outgrow authors"
copyright = "The outgrow authors"
release = importlib.metadata.version("outgrow")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

# Docstrings are Markdown-like text with Google's sections. Types stand in the signatures; linking every one
# of torch's and the standard library's would need their inventories from the network.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
default_role = "code"
nitpick_ignore_regex = [("py:.*", ".*")]

html_theme = "furo"
html_title = f"outgrow {release}"
html_show_sourcelink = False
html_static_path = ["_static/style"]  # pictures are found by the pages that show them
html_css_files = ["tables.css", "side-by-side.css"]


def show_tables_as_text(app, what, name, obj, options, lines):
    """Docstrings hold tables as people type them; reStructuredText would take each row for something else."""
    shown = []
    for index, line in enumerate(lines):
        is_row = line.lstrip().startswith("|")
        if is_row and not (index and lines[index - 1].lstrip().startswith("|")):
            shown += ["::", ""]
        shown.append(f"    {line}" if is_row else line)
    lines[:] = shown


class CommandHelp(SphinxDirective):
    """The `--help` of a command, as the program prints it."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        """Walk from the program to the command."""
        command = program
        options = {"max_content_width": 100, "terminal_width": 100, "help_option_names": ["-h", "--help"]}
        context = click.Context(program, info_name="outgrow", **options)
        for name in self.arguments[0].split():
            command = command.get_command(context, name)
            if command is None:
                raise self.error(f"there is no command {self.arguments[0]!r}")
            context = click.Context(command, parent=context, info_name=name)
        return [nodes.literal_block(text=command.get_help(context), language="text")]


class FileTable(SphinxDirective):
    """The files of a package with the first sentence of each, so that the page cannot fall behind."""

    required_arguments = 1

    def run(self):
        """Read the docstrings; nothing is imported."""
        root = Path(__file__).parent.parent / "src" / "outgrow" / self.arguments[0]
        rows = ["| file | noun |", "|---|---|"]
        for file in sorted(root.rglob("*.py")):
            self.env.note_dependency(str(file))
            docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
            sentence = " ".join(docstring.split("\n\n")[0].split()).replace("|", "\\|").rstrip(".")
            if not file.name.startswith("__"):
                rows.append(f"| `{file.relative_to(root).as_posix()}` | {sentence} |")
        return self.parse_text_to_nodes("\n".join(rows))


def setup(app):
    """Register what stands above with Sphinx."""
    app.add_directive("file-table", FileTable)
    app.add_directive("command-help", CommandHelp)
    app.connect("autodoc-process-docstring", show_tables_as_text)
