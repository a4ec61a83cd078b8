"""The Grafana dashboard as a short list of panels, and what is made of it: the JSON that Grafana reads, a picture."""
