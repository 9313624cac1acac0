// The client library that most web applications use, against a chain given by RPC_URL and WS_URL.
import assert from "node:assert/strict";
import { test } from "node:test";
import { getTransferSolInstruction } from "@solana-program/system";
import {
  address,
  airdropFactory,
  appendTransactionMessageInstruction,
  assertIsTransactionWithBlockhashLifetime,
  compileTransaction,
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  createTransactionMessage,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  isSolanaError,
  lamports,
  pipe,
  sendAndConfirmTransactionFactory,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from "@solana/kit";

const rpc = createSolanaRpc(process.env.RPC_URL);
const rpcSubscriptions = createSolanaRpcSubscriptions(process.env.WS_URL);
const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
const airdrop = airdropFactory({ rpc, rpcSubscriptions });
const SYSTEM = address("11111111111111111111111111111111");
const LOADER = address("BPFLoaderUpgradeab1e11111111111111111111111");
const commitment = "confirmed";

async function funded(amount = 2_000_000_000n) {
  const signer = await generateKeyPairSigner();
  await airdrop({ commitment, lamports: lamports(amount), recipientAddress: signer.address });
  return signer;
}

async function transferOf(source, destination, amount, blockhash) {
  const latest = blockhash ?? (await rpc.getLatestBlockhash({ commitment }).send()).value;
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (m) => setTransactionMessageFeePayerSigner(source, m),
    (m) => setTransactionMessageLifetimeUsingBlockhash(latest, m),
    (m) => appendTransactionMessageInstruction(getTransferSolInstruction({ source, destination, amount }), m),
  );
  const transaction = await signTransactionMessageWithSigners(message);
  assertIsTransactionWithBlockhashLifetime(transaction);
  return transaction;
}

async function first(iterable) {
  for await (const item of iterable) return item;
  throw new Error("the subscription ended without telling anything");
}

test("an airdrop arrives and is confirmed through subscriptions", async () => {
  const signer = await funded();
  assert.equal((await rpc.getBalance(signer.address, { commitment }).send()).value, 2_000_000_000n);
});

test("a transfer is sent, confirmed and told", async () => {
  const [source, destination] = [await funded(), (await generateKeyPairSigner()).address];
  const transaction = await transferOf(source, destination, 100_000_000n);
  await sendAndConfirm(transaction, { commitment });
  assert.equal((await rpc.getBalance(destination, { commitment }).send()).value, 100_000_000n);
  const signature = getSignatureFromTransaction(transaction);
  const told = await rpc
    .getTransaction(signature, { commitment, encoding: "json", maxSupportedTransactionVersion: 0 })
    .send();
  assert.equal(told.meta.fee, 5000n);
  assert.equal(told.meta.err, null);
  assert.equal(told.meta.computeUnitsConsumed, 150n);
  assert.equal(told.version, 0);
  const statuses = (await rpc.getSignatureStatuses([signature]).send()).value;
  assert.equal(statuses[0].err, null);
  const rows = await rpc.getSignaturesForAddress(destination, { commitment }).send();
  assert.deepEqual(rows.map((row) => row.signature), [signature]);
  const block = await rpc
    .getBlock(told.slot, { commitment, maxSupportedTransactionVersion: 0, transactionDetails: "signatures" })
    .send();
  assert.ok(block.signatures.includes(signature));
});

test("a transfer becomes final", async () => {
  const [source, destination] = [await funded(), (await generateKeyPairSigner()).address];
  await sendAndConfirm(await transferOf(source, destination, 100_000_000n), { commitment: "finalized" });
  assert.equal((await rpc.getBalance(destination, { commitment: "finalized" }).send()).value, 100_000_000n);
});

test("a failing transfer is refused with the reason and the logs", async () => {
  const [source, destination] = [await funded(), (await generateKeyPairSigner()).address];
  const transaction = await transferOf(source, destination, 10n ** 15n);
  await assert.rejects(sendAndConfirm(transaction, { commitment }), (error) => {
    assert.ok(isSolanaError(error));
    assert.equal(error.context.unitsConsumed, 150n);
    assert.match(error.context.logs.at(-1), /custom program error: 0x1/);
    return true;
  });
});

test("a simulation keeps nothing", async () => {
  const [source, destination] = [await funded(), (await generateKeyPairSigner()).address];
  const wire = getBase64EncodedWireTransaction(await transferOf(source, destination, 100_000_000n));
  const { value } = await rpc
    .simulateTransaction(wire, { commitment, encoding: "base64", sigVerify: true, innerInstructions: true })
    .send();
  assert.equal(value.err, null);
  assert.equal(value.unitsConsumed, 150n);
  assert.equal((await rpc.getBalance(destination, { commitment: "processed" }).send()).value, 0n);
});

test("a used transaction is already processed", async () => {
  const [source, destination] = [await funded(), (await generateKeyPairSigner()).address];
  const transaction = await transferOf(source, destination, 100_000_000n);
  await sendAndConfirm(transaction, { commitment });
  const wire = getBase64EncodedWireTransaction(transaction);
  await assert.rejects(
    rpc.sendTransaction(wire, { encoding: "base64", preflightCommitment: commitment }).send(),
    (error) => isSolanaError(error),
  );
});

test("accounts, program accounts and rent are read", async () => {
  const signer = await funded();
  const one = (await rpc.getAccountInfo(signer.address, { commitment, encoding: "base64" }).send()).value;
  assert.equal(one.owner, SYSTEM);
  assert.equal(one.space, 0n);
  const several = await rpc
    .getMultipleAccounts([SYSTEM, signer.address], { commitment, encoding: "base64+zstd" })
    .send();
  assert.equal(several.value[0].executable, true);
  const programs = await rpc
    .getProgramAccounts(LOADER, {
      commitment,
      encoding: "base64",
      dataSlice: { offset: 0, length: 4 },
      filters: [{ dataSize: 36n }],
      withContext: true,
    })
    .send();
  assert.ok(programs.value.length > 0);
  assert.ok(programs.value.every((row) => row.account.data[0] === "AgAAAA=="));
  assert.equal(await rpc.getMinimumBalanceForRentExemption(165n).send(), 2_039_280n);
});

test("the node tells its state", async () => {
  assert.equal(await rpc.getHealth().send(), "ok");
  const slot = await rpc.getSlot({ commitment }).send();
  assert.ok(slot > 0n);
  assert.ok((await rpc.getBlockHeight({ commitment }).send()) > 0n);
  const info = await rpc.getEpochInfo({ commitment }).send();
  assert.equal(info.slotsInEpoch, 432_000n);
  assert.ok((await rpc.getVersion().send())["solana-core"].startsWith("4."));
  const latest = (await rpc.getLatestBlockhash({ commitment }).send()).value;
  assert.equal((await rpc.isBlockhashValid(latest.blockhash, { commitment }).send()).value, true);
  assert.ok((await rpc.getBlocks(1n, 3n, { commitment }).send()).length === 3);
  const signer = await funded();
  const message = compileTransaction(
    pipe(
      createTransactionMessage({ version: 0 }),
      (m) => setTransactionMessageFeePayerSigner(signer, m),
      (m) => setTransactionMessageLifetimeUsingBlockhash(latest, m),
    ),
  ).messageBytes;
  const fee = await rpc.getFeeForMessage(Buffer.from(message).toString("base64"), { commitment }).send();
  assert.equal(fee.value, 5000n);
});

test("every subscription tells", async () => {
  const [source, destination] = [await funded(), (await generateKeyPairSigner()).address];
  const abort = new AbortController();
  const options = { abortSignal: abort.signal };
  const transaction = await transferOf(source, destination, 100_000_000n);
  const signature = getSignatureFromTransaction(transaction);
  const subscriptions = await Promise.all([
    rpcSubscriptions.accountNotifications(destination, { commitment, encoding: "base64" }).subscribe(options),
    rpcSubscriptions.programNotifications(SYSTEM, { commitment, encoding: "base64" }).subscribe(options),
    rpcSubscriptions.logsNotifications({ mentions: [destination] }, { commitment }).subscribe(options),
    rpcSubscriptions.signatureNotifications(signature, { commitment }).subscribe(options),
    rpcSubscriptions.slotNotifications().subscribe(options),
    rpcSubscriptions.rootNotifications().subscribe(options),
  ]);
  const told = Promise.all(subscriptions.map(first));
  await sendAndConfirm(transaction, { commitment });
  const [account, program, logs, confirmed, slot, root] = await told;
  abort.abort();
  assert.equal(account.value.lamports, 100_000_000n);
  assert.equal(program.value.account.owner, SYSTEM);
  assert.equal(logs.value.signature, signature);
  assert.equal(confirmed.value.err, null);
  assert.equal(slot.parent + 1n, slot.slot);
  assert.equal(typeof root, "bigint");
});
