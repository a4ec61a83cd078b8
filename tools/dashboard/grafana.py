"""Panels as the JSON that Grafana's provisioning reads (dashboard schema 39, Grafana 10 and later)."""

from .panel import Panel, Query, Row

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24


def target(query: Query, panel: Panel, ref: str) -> dict:
    return {"refId": ref, "datasource": DATASOURCE, "expr": query.expression, "legendFormat": query.legend,
            "instant": panel.is_instant, "range": not panel.is_instant,
            "format": "heatmap" if panel.kind == "heatmap" else "time_series"}


def defaults(panel: Panel) -> dict:
    steps = [{"value": value, "color": color} for value, color in panel.thresholds]
    field = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}, "mappings": []}
    if panel.lowest is not None:
        field["min"] = panel.lowest
    if panel.highest is not None:
        field["max"] = panel.highest
    if panel.names:
        field["mappings"] = [{"type": "value", "options": {
            str(value): {"text": text, "color": color, "index": index}
            for index, (value, (text, color)) in enumerate(panel.names.items())}}]
    if panel.kind == "stat":
        field["color"] = {"mode": "thresholds"}
    if panel.kind == "bargauge":
        field["color"] = {"mode": "continuous-RdYlGr"}
    if panel.kind == "timeseries":
        field["color"] = {"mode": "palette-classic"}
        field["custom"] = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 35 if panel.stacked else 8,
                           "showPoints": "never", "spanNulls": False,
                           "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"}}
    return field


def options(panel: Panel) -> dict:
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value",
                "graphMode": "none" if panel.names else "area", "textMode": "value", "justifyMode": "center"}
    if panel.kind == "bargauge":
        return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "displayMode": "gradient",
                "orientation": "vertical", "showUnfilled": True}
    if panel.kind == "heatmap":
        return {"calculate": False, "cellGap": 1, "color": {"mode": "scheme", "scheme": "Turbo", "steps": 64},
                "yAxis": {"unit": panel.unit}, "filterValues": {"le": 1e-9}, "tooltip": {"show": True}}
    return {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"}}


def overrides(panel: Panel) -> list[dict]:
    return [{"matcher": {"id": "byName", "options": legend},
             "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}]}
            for legend, color in panel.colors.items()]


def panel_json(panel: Panel, number: int, x: int, y: int) -> dict:
    refs = "ABCDEFGH"
    return {"id": number, "type": panel.kind, "title": panel.title, "description": panel.meaning, "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
            "targets": [target(query, panel, refs[i]) for i, query in enumerate(panel.queries)],
            "fieldConfig": {"defaults": defaults(panel), "overrides": overrides(panel)}, "options": options(panel)}


def place(rows: list[Row]) -> list[tuple[Panel | Row, int, int]]:
    """Every row's title and every panel with its place (x, y) in the grid, from left to right and downwards."""
    placed: list[tuple[Panel | Row, int, int]] = []
    y = 0
    for row in rows:
        placed.append((row, 0, y))
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            placed.append((panel, x, y))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return placed


def variable(name: str, label: str) -> dict:
    query = f"label_values(runahead_requests_received_total, {name})"
    return {"name": name, "label": label, "type": "query", "datasource": DATASOURCE, "definition": query,
            "query": {"query": query, "refId": name}, "refresh": 2, "includeAll": True, "multi": True, "allValue": ".*",
            "current": {"text": "All", "value": "$__all"}, "sort": 1}


def dashboard(rows: list[Row]) -> dict:
    panels = []
    for number, (item, x, y) in enumerate(place(rows), start=1):
        if isinstance(item, Row):
            panels.append({"id": number, "type": "row", "title": item.title, "collapsed": False, "panels": [],
                           "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}})
        else:
            panels.append(panel_json(item, number, x, y))
    source = {"name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus", "current": {}}
    return {"uid": "runahead", "title": "Runahead", "tags": ["runahead", "llm"], "schemaVersion": 39, "version": 1,
            "editable": True, "graphTooltip": 1, "refresh": "10s", "time": {"from": "now-30m", "to": "now"},
            "timezone": "browser", "annotations": {"list": []}, "links": [],
            "templating": {"list": [source, variable("model", "Model"), variable("instance", "Server")]},
            "panels": panels}
