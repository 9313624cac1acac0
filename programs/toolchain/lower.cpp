// sbpf-lower: rewrites a fully linked LLVM module so that LLVM's stock BPF back end can compile it for Solana's VM.
//
// The back end accepts no library calls, no more than five argument registers and (cpu v2) no signed division:
//   - memory intrinsics that are large or of variable size      -> sol_memcpy_, sol_memmove_, sol_memset_
//   - multiplication, division and shifts wider than 64 bits    -> helpers of rt.rs, or 64-bit code
//   - checked multiplication of 64 bits and more                -> helpers of rt.rs, or 64-bit code
//   - signed division and remainder                             -> unsigned ones with the signs put right
//   - functions that take more than five registers              -> four, and a pointer to the rest
//   - llvm.trap                                                 -> the abort syscall
// What it leaves behind makes the back end fail: nothing is mistranslated by omission.

#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Plugins/PassPlugin.h"

using namespace llvm;

namespace {

constexpr unsigned InlineBytes = 64; // the back end expands memory intrinsics up to this size
constexpr unsigned ArgRegs = 5;

[[noreturn]] void refuse(const Twine &Why) { report_fatal_error("sbpf-lower: " + Why); }

class Lower : public PassInfoMixin<Lower> {
public:
  static bool isRequired() { return true; }
  PreservedAnalyses run(Module &Mod, ModuleAnalysisManager &);

private:
  Module *M;
  LLVMContext *C;
  IntegerType *I64, *I128;
  PointerType *Ptr;
  DenseMap<std::pair<Function *, Type *>, AllocaInst *> Slots;

  // ---- building blocks
  Value *c64(uint64_t V) { return ConstantInt::get(I64, V); }
  Value *sign(IRBuilder<> &B, Value *X) { return B.CreateAShr(X, X->getType()->getIntegerBitWidth() - 1); }
  FunctionCallee external(StringRef Name, Type *Result, ArrayRef<Type *> Args);
  std::pair<Value *, Value *> halves(IRBuilder<> &B, Value *V);
  Value *join(IRBuilder<> &B, Value *Lo, Value *Hi);
  AllocaInst *slot(Function &F, Type *T);
  void refuseInHelper(Function &F, StringRef Needed);
  Value *word(IRBuilder<> &B, Value *P, unsigned I);
  Value *pair(IRBuilder<> &B, Value *P) { return join(B, word(B, P, 0), word(B, P, 1)); }
  AllocaInst *helper(IRBuilder<> &B, Function &F, StringRef Name, Value *X, Value *Y);
  Value *umulh(IRBuilder<> &B, Function &F, Value *X, Value *Y);

  // ---- arithmetic
  Value *mul128(IRBuilder<> &B, Function &F, Value *X, Value *Y);
  Value *shift128(IRBuilder<> &B, unsigned Op, Value *X, Value *Amount);
  Value *udivrem(IRBuilder<> &B, Function &F, bool Rem, Value *X, Value *Y);
  Value *sdivrem(IRBuilder<> &B, Function &F, bool Rem, Value *X, Value *Y);
  void binary(BinaryOperator &I);
  void mulOverflow(WithOverflowInst &I);

  // ---- memory and calls
  void memory(MemIntrinsic &I);
  void trap(IntrinsicInst &I);
  void manyArgs();
  void narrowCall(CallBase &Call);
  void narrowFunction(Function &F);
  StructType *rest(FunctionType *T, int Kept) { return StructType::get(*C, T->params().drop_front(Kept)); }
  FunctionType *narrow(FunctionType *T, int Kept);
  AttributeList attributes(AttributeList A, int Kept);
};

// ---------------------------------------------------------------- building blocks

FunctionCallee Lower::external(StringRef Name, Type *Result, ArrayRef<Type *> Args) {
  return M->getOrInsertFunction(Name, FunctionType::get(Result, Args, false));
}

std::pair<Value *, Value *> Lower::halves(IRBuilder<> &B, Value *V) {
  return {B.CreateTrunc(V, I64), B.CreateTrunc(B.CreateLShr(V, 64), I64)};
}

Value *Lower::join(IRBuilder<> &B, Value *Lo, Value *Hi) {
  return B.CreateOr(B.CreateShl(B.CreateZExt(Hi, I128), 64), B.CreateZExt(Lo, I128));
}

// One scratch slot per function and type suffices: each is written and read around a single call.
AllocaInst *Lower::slot(Function &F, Type *T) {
  AllocaInst *&A = Slots[{&F, T}];
  if (!A)
    A = IRBuilder<>(&F.getEntryBlock(), F.getEntryBlock().getFirstInsertionPt()).CreateAlloca(T);
  return A;
}

// A helper that needed a helper would call itself for ever.
void Lower::refuseInHelper(Function &F, StringRef Needed) {
  if (F.getName().starts_with("__sbpf_"))
    refuse(Twine("helper ") + F.getName() + " would need " + Needed);
}

Value *Lower::word(IRBuilder<> &B, Value *P, unsigned I) { return B.CreateLoad(I64, B.CreateConstGEP1_64(I64, P, I)); }

// helper(out, x.lo, x.hi, y.lo, y.hi), where out has room for three words.
AllocaInst *Lower::helper(IRBuilder<> &B, Function &F, StringRef Name, Value *X, Value *Y) {
  refuseInHelper(F, Name);
  AllocaInst *Out = slot(F, ArrayType::get(I64, 3));
  auto [XLo, XHi] = halves(B, X);
  auto [YLo, YHi] = halves(B, Y);
  B.CreateCall(external(Name, Type::getVoidTy(*C), {Ptr, I64, I64, I64, I64}), {Out, XLo, XHi, YLo, YHi});
  return Out;
}

// The high word of a 64-bit product.
Value *Lower::umulh(IRBuilder<> &B, Function &F, Value *X, Value *Y) {
  refuseInHelper(F, "umulh");
  return B.CreateCall(external("__sbpf_umulh", I64, {I64, I64}), {X, Y});
}

// ---------------------------------------------------------------- arithmetic

Value *Lower::mul128(IRBuilder<> &B, Function &F, Value *X, Value *Y) {
  auto Fits64 = [&](Value *V) { return computeKnownBits(V, M->getDataLayout()).countMinLeadingZeros() >= 64; };
  if (Fits64(X) && Fits64(Y)) {
    Value *XLo = B.CreateTrunc(X, I64), *YLo = B.CreateTrunc(Y, I64);
    return join(B, B.CreateMul(XLo, YLo), umulh(B, F, XLo, YLo));
  }
  return pair(B, helper(B, F, "__sbpf_mul128", X, Y));
}

// A shift of 128 bits by a variable amount: by less than 64 inside and between the words, then by 64 or not.
Value *Lower::shift128(IRBuilder<> &B, unsigned Op, Value *X, Value *Amount) {
  auto [Lo, Hi] = halves(B, X);
  Value *N = B.CreateTrunc(Amount, I64), *Within = B.CreateAnd(N, 63), *Across = B.CreateXor(Within, c64(63));
  Value *ByWord = B.CreateICmpNE(B.CreateAnd(N, 64), c64(0));
  if (Op == Instruction::Shl) {
    Value *L = B.CreateShl(Lo, Within);
    Value *H = B.CreateOr(B.CreateShl(Hi, Within), B.CreateLShr(B.CreateLShr(Lo, 1), Across));
    return join(B, B.CreateSelect(ByWord, c64(0), L), B.CreateSelect(ByWord, L, H));
  }
  bool Arithmetic = Op == Instruction::AShr;
  Value *H = Arithmetic ? B.CreateAShr(Hi, Within) : B.CreateLShr(Hi, Within);
  Value *L = B.CreateOr(B.CreateLShr(Lo, Within), B.CreateShl(B.CreateShl(Hi, 1), Across));
  Value *Fill = Arithmetic ? B.CreateAShr(Hi, 63) : c64(0);
  return join(B, B.CreateSelect(ByWord, H, L), B.CreateSelect(ByWord, Fill, H));
}

Value *Lower::udivrem(IRBuilder<> &B, Function &F, bool Rem, Value *X, Value *Y) {
  if (X->getType() == I64)
    return Rem ? B.CreateURem(X, Y) : B.CreateUDiv(X, Y);
  return pair(B, helper(B, F, Rem ? "__sbpf_urem128" : "__sbpf_udiv128", X, Y));
}

Value *Lower::sdivrem(IRBuilder<> &B, Function &F, bool Rem, Value *X, Value *Y) {
  auto Flip = [&](Value *V, Value *S) { return B.CreateSub(B.CreateXor(V, S), S); }; // S is 0 or -1: V or -V
  Value *SX = sign(B, X), *SY = sign(B, Y);
  Value *Magnitude = udivrem(B, F, Rem, Flip(X, SX), Flip(Y, SY));
  return Flip(Magnitude, Rem ? SX : B.CreateXor(SX, SY));
}

void Lower::binary(BinaryOperator &I) {
  Type *T = I.getType();
  if (!T->isIntegerTy())
    return;
  unsigned Width = T->getIntegerBitWidth(), Op = I.getOpcode();
  Value *X = I.getOperand(0), *Y = I.getOperand(1);
  Function &F = *I.getFunction();
  bool SignedDiv = Op == Instruction::SDiv || Op == Instruction::SRem;
  bool Div = SignedDiv || Op == Instruction::UDiv || Op == Instruction::URem;
  bool Shift = Op == Instruction::Shl || Op == Instruction::LShr || Op == Instruction::AShr;
  bool Signed = SignedDiv || Op == Instruction::AShr;
  auto *K = dyn_cast<ConstantInt>(Y);

  if (Width > 128)
    refuse("integer wider than 128 bits");
  if (Width <= 64 && !SignedDiv)
    return;
  if (Width > 64 && !Div && Op != Instruction::Mul && !(Shift && !K))
    return;
  if (Width <= 64 && K && K->getValue().isStrictlyPositive() && K->getValue().isPowerOf2())
    return; // the back end shifts

  IRBuilder<> B(&I);
  IntegerType *N = Width <= 64 ? I64 : I128;
  X = Signed ? B.CreateSExt(X, N) : B.CreateZExt(X, N);
  Y = SignedDiv ? B.CreateSExt(Y, N) : B.CreateZExt(Y, N);
  bool Rem = Op == Instruction::URem || Op == Instruction::SRem;
  Value *R = Op == Instruction::Mul ? mul128(B, F, X, Y)
             : Shift                ? shift128(B, Op, X, Y)
             : SignedDiv            ? sdivrem(B, F, Rem, X, Y)
                                    : udivrem(B, F, Rem, X, Y);
  I.replaceAllUsesWith(B.CreateTrunc(R, T));
  I.eraseFromParent();
}

void Lower::mulOverflow(WithOverflowInst &I) {
  if (I.getBinaryOp() != Instruction::Mul)
    return;
  Value *X = I.getLHS(), *Y = I.getRHS();
  unsigned Width = X->getType()->getIntegerBitWidth();
  Function &F = *I.getFunction();
  bool Signed = I.isSigned();
  if (Width < 64)
    return;
  if (Width != 64 && Width != 128)
    refuse("checked multiplication of " + Twine(Width) + " bits");

  IRBuilder<> B(&I);
  Value *Product, *Over;
  if (Width == 64) {
    if (isa<ConstantInt>(X))
      std::swap(X, Y);
    Product = B.CreateMul(X, Y);
    auto *K = dyn_cast<ConstantInt>(Y);
    if (K && !Signed && !K->isZero()) {
      Over = B.CreateICmpUGT(X, c64(~0ull / K->getZExtValue()));
    } else if (!Signed) {
      Over = B.CreateICmpNE(umulh(B, F, X, Y), c64(0));
    } else { // the signed high word must be the sign of the low one
      Value *High = umulh(B, F, X, Y);
      High = B.CreateSub(High, B.CreateAnd(sign(B, X), Y));
      High = B.CreateSub(High, B.CreateAnd(sign(B, Y), X));
      Over = B.CreateICmpNE(High, sign(B, Product));
    }
  } else {
    Value *P = helper(B, F, Signed ? "__sbpf_smulo128" : "__sbpf_umulo128", X, Y);
    Product = pair(B, P);
    Over = B.CreateICmpNE(word(B, P, 2), c64(0));
  }
  Value *Result = B.CreateInsertValue(PoisonValue::get(I.getType()), Product, 0);
  I.replaceAllUsesWith(B.CreateInsertValue(Result, Over, 1));
  I.eraseFromParent();
}

// ---------------------------------------------------------------- memory and calls

void Lower::memory(MemIntrinsic &I) {
  if (auto *K = dyn_cast<ConstantInt>(I.getLength()); K && K->getZExtValue() <= InlineBytes)
    return;
  IRBuilder<> B(&I);
  Type *Void = Type::getVoidTy(*C);
  Value *To = I.getRawDest(), *Length = B.CreateZExtOrTrunc(I.getLength(), I64);
  if (auto *Set = dyn_cast<MemSetInst>(&I)) {
    Value *Byte = B.CreateZExt(Set->getValue(), I64);
    B.CreateCall(external("sol_memset_", Void, {Ptr, I64, I64}), {To, Byte, Length});
  } else {
    StringRef Name = isa<MemMoveInst>(I) ? "sol_memmove_" : "sol_memcpy_";
    Value *From = cast<MemTransferInst>(I).getRawSource();
    B.CreateCall(external(Name, Void, {Ptr, Ptr, I64}), {To, From, Length});
  }
  I.eraseFromParent();
}

void Lower::trap(IntrinsicInst &I) {
  IRBuilder<>(&I).CreateCall(external("abort", Type::getVoidTy(*C), {}));
  I.eraseFromParent();
}

unsigned registers(Type *T) { return T->isIntegerTy() ? (T->getIntegerBitWidth() + 63) / 64 : 1; }

// How many parameters stay in registers, or -1 when all do.
int kept(FunctionType *T) {
  unsigned All = 0;
  for (Type *P : T->params())
    All += registers(P);
  if (All <= ArgRegs || T->isVarArg())
    return -1;
  unsigned Used = 0;
  int Kept = 0;
  for (Type *P : T->params()) {
    if (Used + registers(P) > ArgRegs - 1)
      break;
    Used += registers(P);
    Kept++;
  }
  return Kept;
}

FunctionType *Lower::narrow(FunctionType *T, int Kept) {
  SmallVector<Type *> Params(T->params().take_front(Kept));
  Params.push_back(Ptr);
  return FunctionType::get(T->getReturnType(), Params, false);
}

AttributeList Lower::attributes(AttributeList A, int Kept) {
  SmallVector<AttributeSet> Params;
  for (int I = 0; I < Kept; I++)
    Params.push_back(A.getParamAttrs(I));
  Params.push_back({});
  // a function said to touch no memory now reads its arguments from it
  return AttributeList::get(*C, A.getFnAttrs(), A.getRetAttrs(), Params).removeFnAttribute(*C, Attribute::Memory);
}

void Lower::narrowCall(CallBase &Call) {
  auto *Old = dyn_cast<CallInst>(&Call);
  if (!Old || Old->isMustTailCall())
    refuse("unsupported form of a call with more than five arguments");
  FunctionType *T = Old->getFunctionType();
  int Kept = kept(T);
  StructType *S = rest(T, Kept);
  AllocaInst *Area = slot(*Old->getFunction(), S);
  IRBuilder<> B(Old);
  for (unsigned I = Kept; I < T->getNumParams(); I++)
    B.CreateStore(Old->getArgOperand(I), B.CreateStructGEP(S, Area, I - Kept));
  SmallVector<Value *> Args(Old->arg_begin(), Old->arg_begin() + Kept);
  Args.push_back(Area);
  CallInst *New = B.CreateCall(narrow(T, Kept), Old->getCalledOperand(), Args);
  New->setCallingConv(Old->getCallingConv());
  New->setAttributes(attributes(Old->getAttributes(), Kept));
  New->setDebugLoc(Old->getDebugLoc());
  Old->replaceAllUsesWith(New);
  New->takeName(Old);
  Old->eraseFromParent();
}

void Lower::narrowFunction(Function &F) {
  FunctionType *T = F.getFunctionType();
  int Kept = kept(T);
  StructType *S = rest(T, Kept);
  Function *New = Function::Create(narrow(T, Kept), F.getLinkage(), F.getAddressSpace(), "", M);
  New->takeName(&F);
  New->setCallingConv(F.getCallingConv());
  New->setVisibility(F.getVisibility());
  New->setDSOLocal(F.isDSOLocal());
  New->setUnnamedAddr(F.getUnnamedAddr());
  New->setAttributes(attributes(F.getAttributes(), Kept));
  New->setSubprogram(F.getSubprogram());
  F.setSubprogram(nullptr);
  New->splice(New->begin(), &F);
  IRBuilder<> B(&New->getEntryBlock(), New->getEntryBlock().getFirstInsertionPt());
  for (unsigned I = 0; I < T->getNumParams(); I++) {
    Argument *Old = F.getArg(I);
    Value *V = New->getArg(std::min<unsigned>(I, Kept));
    if ((int)I >= Kept)
      V = B.CreateLoad(Old->getType(), B.CreateStructGEP(S, V, I - Kept));
    Old->replaceAllUsesWith(V);
  }
  F.replaceAllUsesWith(New);
  F.eraseFromParent();
}

void Lower::manyArgs() {
  SmallVector<Function *> Functions;
  SmallVector<CallBase *> Calls;
  for (Function &F : *M) {
    if (F.isIntrinsic())
      continue;
    if (kept(F.getFunctionType()) >= 0) {
      if (F.isDeclaration())
        refuse(Twine("external function with more than five arguments: ") + F.getName());
      Functions.push_back(&F);
    }
    for (Instruction &I : instructions(F))
      if (auto *Call = dyn_cast<CallBase>(&I))
        if (!isa<IntrinsicInst>(Call) && kept(Call->getFunctionType()) >= 0)
          Calls.push_back(Call);
  }
  for (CallBase *Call : Calls)
    narrowCall(*Call);
  for (Function *F : Functions)
    narrowFunction(*F);
}

PreservedAnalyses Lower::run(Module &Mod, ModuleAnalysisManager &) {
  M = &Mod;
  C = &M->getContext();
  I64 = Type::getInt64Ty(*C);
  I128 = Type::getInt128Ty(*C);
  Ptr = PointerType::get(*C, 0);
  for (Function &F : *M) {
    SmallVector<Instruction *> All;
    for (Instruction &I : instructions(F))
      All.push_back(&I);
    for (Instruction *I : All) {
      if (auto *Op = dyn_cast<BinaryOperator>(I))
        binary(*Op);
      else if (auto *Checked = dyn_cast<WithOverflowInst>(I))
        mulOverflow(*Checked);
      else if (auto *Memory = dyn_cast<MemIntrinsic>(I))
        memory(*Memory);
      else if (auto *Other = dyn_cast<IntrinsicInst>(I); Other && Other->getIntrinsicID() == Intrinsic::trap)
        trap(*Other);
    }
  }
  manyArgs();
  return PreservedAnalyses::none();
}

bool parse(StringRef Name, ModulePassManager &Passes, ArrayRef<PassBuilder::PipelineElement>) {
  if (Name != "sbpf-lower")
    return false;
  Passes.addPass(Lower());
  return true;
}

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo llvmGetPassPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "sbpf-lower", "1",
          [](PassBuilder &Builder) { Builder.registerPipelineParsingCallback(parse); }};
}
