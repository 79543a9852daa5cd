"""The scripts and data of the page: what may run, and that names of users cannot."""

import json
from html.parser import HTMLParser

from resomap.report.scripts import embed_data, read_scripts, security_policy


def test_policy_without_scripts_allows_none():
    assert "script-src 'none'" in security_policy([])


def test_policy_lists_the_digest_of_each_script():
    # The digest of an empty text, from the specification of SHA-256.
    empty = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    assert f"script-src {empty}" in security_policy([""])
    assert security_policy(read_scripts()).count("'sha256-") == len(read_scripts())


def test_embedded_names_cannot_leave_their_element():
    name = "</script><script>alert(1)</script><!-- \u202e 'quoted' \" & \u2028"
    text = embed_data({"name": name})
    assert json.loads(text) == {"name": name}

    opened = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: opened.append(tag)  # type: ignore[method-assign]
    parser.feed(f'<script type="application/json">{text}</script><p>')
    assert opened == ["script", "p"]
