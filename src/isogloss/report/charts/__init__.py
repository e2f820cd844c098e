"""Charts of a report: Vega-Lite by way of Altair, with the data inside. One file a subject."""
