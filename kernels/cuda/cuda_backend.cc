// The CUDA backend's place. Until it is written this folder is in no build, whether or not a
// toolkit is present: MakeBackend("cuda") answers kNotFound. Its kernels will implement
// kernels/backend.h behind MakeCudaBackend(), and CUDA headers will appear in this folder alone.
