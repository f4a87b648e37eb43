# The course for CPUs:  docker build -t fine-tuning-course .
#                       docker run --rm -p 127.0.0.1:8888:8888 fine-tuning-course
FROM python:3.13-slim

RUN useradd --uid 1000 --create-home --home-dir /course learner \
    && python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH VIRTUAL_ENV=/opt/venv

WORKDIR /course
COPY --chown=learner:learner . .
RUN bash binder/postBuild

USER learner
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"]
