"""The command `resomap snakefile`: the path of the workflow, for Snakemake itself."""

import typer


def snakefile() -> None:
    """Print the path of the workflow, for Snakemake or a `module` statement.

    `snakemake -s $(resomap snakefile)` does what `resomap run` does.

    Example: resomap snakefile
    """
    from resomap.system.workflow_files import snakefile as path_of_snakefile

    typer.echo(path_of_snakefile())
